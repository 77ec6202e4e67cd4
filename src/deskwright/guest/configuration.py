"""What the configure steps P1-P7 set in each operating system.

Registry values: SPEC section 2 and the automated-provisioning-steps document. Ports: windows-365-facts section 8.
A function returns None where the step does not apply to the operating system.
"""

from deskwright.guest.actions import (
    Action,
    AddAdministrator,
    BlockPorts,
    GrowPartition,
    RemoveAdministrator,
    RunCommand,
    SetRegistry,
    WriteFile,
)

Actions = tuple[Action, ...]

HIGH_RISK_TCP = (20, 21, 22, 23, 111, 119, 135, 161, 162, 445, 512, 514, 593, 873, 2049, 3389, 5800, 5900)
HIGH_RISK_UDP = (69, 111, 135, 162, 593, 2049, 11211)

_START = r"SOFTWARE\Microsoft\PolicyManager\default\Start"
_SYSTEM = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"

_POLKIT_NO_POWER = """\
// A Cloud PC is turned off from its portal, not from inside.
polkit.addRule(function (action, subject) {
  var power = /^org\\.freedesktop\\.login1\\.(power-off|reboot|halt|suspend|hibernate)/;
  if (power.test(action.id) && !subject.isInGroup("root")) return polkit.Result.NO;
});
"""
# The desktop's own switch. Not its xfce4-session.xml: that file holds what a session consists of.
_XFCE_NO_POWER = """\
[xfce4-session]
Shutdown=NONE
"""
# Debian's xrdp tells a session nothing of its client's time zone. Whoever knows it says it here: what opens the
# session by the variable, the person by the file, for which no right is needed.
_TIME_ZONE = """\
# The session's time zone is that of the device the person sits at, where someone says which.
deskwright_zone="${XRDP_CLIENT_TIMEZONE:-}"
if [ -z "$deskwright_zone" ] && [ -r "${HOME:-}/.config/deskwright/time-zone" ]; then
  read -r deskwright_zone <"$HOME/.config/deskwright/time-zone" || :
fi
case "$deskwright_zone" in
"" | /* | *..*) ;;
*) if [ -f "/usr/share/zoneinfo/$deskwright_zone" ]; then TZ="$deskwright_zone"; export TZ; fi ;;
esac
unset deskwright_zone
"""
# What reagentc prints is localised; the file it keeps is not.
_RECOVERY_IS_OFF = (
    r"$state = ([xml](Get-Content -Raw $env:SystemRoot\System32\Recovery\ReAgent.xml)).WindowsRE.InstallState.state; "
    "if ($state -ne '0') { throw ('Windows RE, InstallState ' + $state) }; 'Windows RE, InstallState 0'"
)
_NO_RECOVERY_ENTRY = """\
if [ ! -e /boot/grub/grub.cfg ]; then echo "no boot menu here"
elif grep -q "gnulinux-.*-recovery-" /boot/grub/grub.cfg; then echo "a recovery entry in the boot menu"; exit 1
else echo "no recovery entry in the boot menu"
fi
"""


def hide_power_icons(os_family: str) -> Actions:
    """P1"""
    if os_family == "windows":
        return (
            SetRegistry(rf"{_START}\HideShutDown", "value", 1),
            SetRegistry(rf"{_START}\HideRestart", "value", 1),
            SetRegistry(_SYSTEM, "ShutdownWithoutLogon", 0),
        )
    return (
        WriteFile("/etc/polkit-1/rules.d/50-deskwright-power.rules", _POLKIT_NO_POWER),
        WriteFile("/etc/xdg/xfce4/kiosk/kioskrc", _XFCE_NO_POWER),
    )


def disable_reset(os_family: str) -> Actions:
    """P2"""
    if os_family == "windows":
        return (RunCommand("reagentc.exe /disable", _RECOVERY_IS_OFF),)
    return (
        WriteFile("/etc/default/grub.d/50-deskwright.cfg", 'GRUB_DISABLE_RECOVERY="true"\n'),
        RunCommand("if command -v update-grub >/dev/null; then update-grub; fi", _NO_RECOVERY_ENTRY),
    )


def local_administrator(member: str, wanted: bool) -> Actions:
    """P3: both ways, so that a repair after a changed user setting takes the right away again."""
    return (AddAdministrator(member),) if wanted else (RemoveAdministrator(member),)


def teams_vdi_mode(os_family: str) -> Actions | None:
    """P4"""
    if os_family != "windows":
        return None
    return (SetRegistry(r"SOFTWARE\Microsoft\Teams", "IsWVDEnvironment", 1),)


def time_zone_redirection(os_family: str) -> Actions:
    """P5"""
    if os_family == "windows":
        path = r"SOFTWARE\Policies\Microsoft\Windows NT\Terminal Services"
        return (SetRegistry(path, "fEnableTimeZoneRedirection", 1),)
    return (WriteFile("/etc/profile.d/deskwright-time-zone.sh", _TIME_ZONE),)


def grow_partition(storage_gb: int) -> Actions:
    """P6"""
    return (GrowPartition(storage_gb),)


def block_high_risk_ports(gateway: str) -> Actions:
    """P7: everyone but Deskwright's own gateway, over which the user's session comes."""
    return (BlockPorts(HIGH_RISK_TCP, HIGH_RISK_UDP, gateway),)
