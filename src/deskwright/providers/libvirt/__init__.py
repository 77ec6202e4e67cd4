"""Real machines on one host: libvirt with QEMU, by KVM where it works and by software emulation where it does not."""
