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
_XFCE_NO_POWER = """\
<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-session" version="1.0">
  <property name="shutdown" type="empty">
    <property name="ShowHibernate" type="bool" value="false" locked="*"/>
    <property name="ShowSuspend" type="bool" value="false" locked="*"/>
  </property>
</channel>
"""
_XRDP_TIME_ZONE = """\
# The session takes the time zone of the device the person sits at, where its client sends it.
if [ -n "$XRDP_CLIENT_TIMEZONE" ]; then TZ="$XRDP_CLIENT_TIMEZONE"; export TZ; fi
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
        WriteFile("/etc/xdg/xfce4/xfconf/xfce-perchannel-xml/xfce4-session.xml", _XFCE_NO_POWER),
    )


def disable_reset(os_family: str) -> Actions:
    """P2"""
    if os_family == "windows":
        return (RunCommand("reagentc.exe /disable"),)
    return (
        WriteFile("/etc/default/grub.d/50-deskwright.cfg", 'GRUB_DISABLE_RECOVERY="true"\n'),
        RunCommand("if command -v update-grub >/dev/null; then update-grub; fi"),
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
    return (WriteFile("/etc/profile.d/deskwright-time-zone.sh", _XRDP_TIME_ZONE),)


def grow_partition(storage_gb: int) -> Actions:
    """P6"""
    return (GrowPartition(storage_gb),)


def block_high_risk_ports(gateway: str) -> Actions:
    """P7: everyone but Deskwright's own gateway, over which the user's session comes."""
    return (BlockPorts(HIGH_RISK_TCP, HIGH_RISK_UDP, gateway),)
