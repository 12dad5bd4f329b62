// NVRTC, which compiles kernels: nvrtc.py does, by g++. The image is the path of a library.
#include <cstring>
#include <string>
#include <vector>

struct Program {
    std::string source, image, log;
    std::vector<std::string> expressions, lowered;
};

// -> nvrtc.py: the source, options and template expressions, a line each; it calls back `result`
// with the image, or with the error
typedef int (*Compile)(void* program, const char* source, const char* options,
                       const char* expressions);
static Compile compile;
enum { SUCCESS = 0, INVALID_INPUT = 3, COMPILATION = 6, NOT_COMPILED = 11 };

extern "C" {

void fake_nvrtc_compiler(Compile function) { compile = function; }

void fake_nvrtc_result(void* program, const char* image, const char* log)
{
    ((Program*)program)->image = image;
    ((Program*)program)->log = log;
}

const char* nvrtcGetErrorString(int error)
{
    return error == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "an error of the stand-in compiler";
}

int nvrtcVersion(int* major, int* minor)
{
    *major = 13;
    *minor = 0;
    return SUCCESS;
}

int nvrtcGetNumSupportedArchs(int* number) { *number = 1; return SUCCESS; }
int nvrtcGetSupportedArchs(int* archs) { archs[0] = 90; return SUCCESS; }

int nvrtcCreateProgram(Program** program, const char* source, const char*, int, const char**,
                       const char**)
{
    *program = new Program{source};
    return SUCCESS;
}

int nvrtcDestroyProgram(Program** program)
{
    delete *program;
    *program = nullptr;
    return SUCCESS;
}

int nvrtcAddNameExpression(Program* program, const char* expression)
{
    program->expressions.push_back(expression);
    program->lowered.push_back("expression_" + std::to_string(program->lowered.size()));
    return SUCCESS;
}

int nvrtcGetLoweredName(Program* program, const char* expression, const char** name)
{
    for (size_t i = 0; i < program->expressions.size(); i++)
        if (program->expressions[i] == expression) {
            *name = program->lowered[i].c_str();
            return SUCCESS;
        }
    return INVALID_INPUT;
}

int nvrtcCompileProgram(Program* program, int count, const char** options)
{
    std::string lines, expressions;
    for (int i = 0; i < count; i++)
        lines += options[i] + std::string("\n");
    for (const std::string& each : program->expressions)
        expressions += each + "\n";
    return compile(program, program->source.c_str(), lines.c_str(), expressions.c_str())
        ? SUCCESS : COMPILATION;
}

int nvrtcGetCUBINSize(Program* program, size_t* size)
{
    *size = program->image.size() + 1;
    return program->image.empty() ? NOT_COMPILED : SUCCESS;
}

int nvrtcGetCUBIN(Program* program, char* image)
{
    strcpy(image, program->image.c_str());
    return SUCCESS;
}

int nvrtcGetPTXSize(Program* program, size_t* size) { return nvrtcGetCUBINSize(program, size); }
int nvrtcGetPTX(Program* program, char* image) { return nvrtcGetCUBIN(program, image); }

int nvrtcGetProgramLogSize(Program* program, size_t* size)
{
    *size = program->log.size() + 1;
    return SUCCESS;
}

int nvrtcGetProgramLog(Program* program, char* log)
{
    strcpy(log, program->log.c_str());
    return SUCCESS;
}

}
