"""Files from the network: downloaded, checked, unpacked."""
