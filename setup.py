"""tinyfcn: fully convolutional networks from scratch, readable in an afternoon."""
from pathlib import Path

from setuptools import find_packages, setup

setup(
    name='tinyfcn',
    version='0.1.0',
    description='Fully convolutional networks from scratch on NumPy and CuPy: from the pixel to the mean IU',
    long_description=Path(__file__).with_name('README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    license='MIT',
    python_requires='>=3.10',
    packages=find_packages(include=['tinyfcn', 'tinyfcn.*']),
    package_data={'tinyfcn': ['data/imagenet.txt', 'prediction/report.css', 'kernels/gpu/*.cu', 'course/player/*', 'py.typed']},
    install_requires=['numpy>=2', 'scipy', 'pillow', 'matplotlib', 'tqdm', 'threadpoolctl', 'safetensors'],
    extras_require={
        'fast': ['numba>=0.61'],
        'cuda12x': ['cupy-cuda12x[ctk]>=14,<16'],
        'cuda13x': ['cupy-cuda13x[ctk]>=14,<16'],
        'lessons': ['jupyterlab', 'nbformat', 'nbclient', 'ipykernel', 'mistune>=3', 'pygments'],
        'test': ['pytest', 'pytest-xdist', 'hypothesis', 'autograd', 'ruff', 'mypy', 'protobuf', 'h5py', 'playwright', 'pycocotools',
                 'shapely', 'imageio-ffmpeg', 'tensorboard'],
        'bench': ['onnx', 'onnxruntime', 'openvino'],
        'mpi': ['mpi4py', 'mpich'],
        'nvrtc': ['nvidia-cuda-nvrtc-cu12'],
        'h5': ['h5py'],
        'video': ['imageio-ffmpeg'],
        'tensorboard': ['tensorboard'],
        'onnx': ['onnx>=1.14'],
    },
    entry_points={'console_scripts': ['tinyfcn = tinyfcn.__main__:main']},
    classifiers=['Intended Audience :: Education', 'Programming Language :: Python :: 3', 'Topic :: Scientific/Engineering'],
)
