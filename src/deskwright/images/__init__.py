"""Gallery images built from Debian's packages, without loop devices, mounts or rights beyond one's own files."""
