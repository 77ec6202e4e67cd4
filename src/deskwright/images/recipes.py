"""The recipes: what each gallery image of Linux is made of. One row each.

To put more into an image, name packages in ``build(..., add=...)``.
"""

from dataclasses import dataclass
from typing import Literal

SUITE = "bookworm"


@dataclass(frozen=True)
class File:
    """A file put into the image; `source` is its text's place in this package's ``files``."""

    path: str
    source: str
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    path: str
    to: str


@dataclass(frozen=True)
class Recipe:
    id: str
    """That of the gallery."""
    boot: Literal["kernel", "grub"]
    """By the machine's loader with a kernel from outside, or by a boot loader inside the disk."""
    size_gb: int
    packages: tuple[str, ...]
    command_line: str
    """The kernel's, without which it does not start."""
    early: tuple[File, ...] = ()
    """There before packages are configured, which read them."""
    commands: tuple[str, ...] = ()
    """Run inside, when all packages are there."""
    files: tuple[File, ...] = ()
    links: tuple[Link, ...] = ()
    small: bool = False
    """Without manuals, documentation and translations."""


# What every machine needs: the agent Deskwright speaks to, the firewall of P7, the tools that grow the disk of P6, and
# those that join a domain (C4), which are 1 MB together.
_COMMON = (
    *("qemu-guest-agent", "sudo", "nftables", "e2fsprogs", "cloud-guest-utils", "fdisk", "iproute2", "kmod"),
    *("adcli", "krb5-user", "libsasl2-modules-gssapi-mit"),
)

_SERVER_PACKAGES = (
    *(*_COMMON, "initramfs-tools", "grub-pc-bin", "grub2-common", "systemd-sysv", "udev", "dbus", "libpam-systemd"),
    *("zstd", "systemd-resolved", "systemd-timesyncd", "cloud-init", "openssh-server", "ca-certificates", "netbase"),
    *("iputils-ping", "less", "nano", "procps"),
)
_DESKTOP_PACKAGES = (
    *("xfce4-session", "xfwm4", "xfce4-panel", "xfdesktop4", "xfce4-settings", "xfce4-terminal", "thunar"),
    *("xserver-xorg-core", "xserver-xorg-input-libinput", "x11-xserver-utils", "lightdm", "lightdm-gtk-greeter"),
    *("dbus-x11", "dbus-user-session", "xrdp", "xorgxrdp", "openssl", "polkitd", "pkexec"),
    *("fonts-dejavu-core", "adwaita-icon-theme", "librsvg2-common"),
)

# GRUB reads its modules from where its own installer would have put them: update-grub's menus load some.
_GRUB = (
    "mkdir -p /boot/grub",
    "cp -r /usr/lib/grub/i386-pc /boot/grub/",
    "grub-mkimage -O i386-pc -o /boot/grub/i386-pc/core.img -p (hd0,msdos1)/boot/grub "
    "biosdisk part_msdos ext2 normal configfile linux search search_label echo test",
)

_SYSTEM = "/etc/systemd/system"
_WANTED = f"{_SYSTEM}/multi-user.target.wants"
_UNITS = "/usr/lib/systemd/system"

_SERVER_EARLY = (
    File("/etc/initramfs-tools/conf.d/deskwright", "server/initramfs.conf"),
    File("/usr/share/initramfs-tools/hooks/deskwright", "server/initramfs-hook", 0o755),
)
_SERVER_FILES = (
    File("/etc/cloud/cloud.cfg.d/90_deskwright.cfg", "server/cloud.cfg"),
    File("/etc/systemd/network/80-deskwright.network", "server/network"),
    File("/etc/default/grub", "server/grub"),
    File("/etc/fstab", "server/fstab"),
    File("/usr/lib/deskwright/first-boot", "server/first-boot", 0o755),
    File(f"{_UNITS}/deskwright-first-boot.service", "server/first-boot.service"),
    File(f"{_UNITS}/deskwright-ports.service", "server/ports.service"),
)
_SERVER_LINKS = (
    *(
        Link(f"{_WANTED}/{unit}", f"{_UNITS}/{unit}")
        for unit in ("systemd-networkd.service", "deskwright-first-boot.service", "deskwright-ports.service")
    ),
    # The card is plugged in after the start: waiting for it would hold the start up for two minutes.
    Link(f"{_SYSTEM}/systemd-networkd-wait-online.service", "/dev/null"),
    # It looks for snapshots of LVM, of which there are none, for twenty seconds where emulated.
    Link(f"{_SYSTEM}/e2scrub_reap.service", "/dev/null"),
    Link("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
)

_TINY = Recipe(
    id="debian-12-tiny",
    # Its purpose is to be up in seconds where no KVM is: neither firmware menu, boot loader, udev nor systemd.
    boot="kernel",
    size_gb=2,
    packages=(*_COMMON, "linux-image-cloud-amd64", "tiny-initramfs", "busybox-static"),
    # The last two spare work that makes a kernel safe against neighbours on real hardware; emulated, it only costs.
    command_line="root=LABEL=cloudpc ro console=ttyS0 console=tty0 quiet mitigations=off nokaslr",
    files=(
        File("/sbin/init", "tiny/init", 0o755),
        File("/sbin/shutdown", "tiny/shutdown", 0o755),
        File("/usr/share/deskwright/lease", "tiny/lease", 0o755),
    ),
    links=(
        *(Link(f"/sbin/{name}", "shutdown") for name in ("poweroff", "halt", "reboot")),
        # What a person who signs in at the console reaches for, and minbase has not.
        *(Link(f"/usr/local/bin/{name}", "/bin/busybox") for name in ("ps", "top", "vi", "less", "ping", "free")),
    ),
    small=True,
)

_SERVER = Recipe(
    id="debian-12-server",
    # Its kernel is its own, updated by its apt, and the disk starts wherever it is taken to. Emulated, the agent
    # answered after 42 and 46 s; with the same kernel from outside after 43 and 49: the boot loader costs nothing.
    boot="grub",
    size_gb=4,
    packages=(*_SERVER_PACKAGES, "linux-image-cloud-amd64"),
    command_line="root=LABEL=cloudpc ro console=ttyS0 console=tty0 quiet",
    early=_SERVER_EARLY,
    commands=_GRUB,
    files=_SERVER_FILES,
    links=_SERVER_LINKS,
)

_DESKTOP = Recipe(
    id="debian-12-desktop",
    boot="grub",
    size_gb=16,
    # Not the cloud kernel, which has no driver for a screen.
    packages=(*_SERVER_PACKAGES, *_DESKTOP_PACKAGES, "linux-image-amd64"),
    command_line="root=LABEL=cloudpc ro console=ttyS0 console=tty0 quiet",
    early=_SERVER_EARLY,
    commands=(
        *_GRUB,
        # Who may sign in remotely is who is in this group, and nobody else (AllowSignIn).
        "groupadd --system tsusers",
        "sed -i s/^AlwaysGroupCheck=.*/AlwaysGroupCheck=true/ /etc/xrdp/sesman.ini",
    ),
    files=(*_SERVER_FILES, File("/etc/lightdm/lightdm.conf.d/50-deskwright.conf", "desktop/lightdm.conf")),
    links=_SERVER_LINKS,
)

RECIPES: dict[str, Recipe] = {recipe.id: recipe for recipe in (_TINY, _SERVER, _DESKTOP)}
