//! Test networks, namespaces and QEMU machines.
