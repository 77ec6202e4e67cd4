# What a script of Deskwright can do inside a Linux guest; deskwright.guest.linux sends it ahead of the calls.
#
# POSIX sh (Debian's dash). It does without systemd, sudo, polkit and a desktop, because a Cloud PC's image may be small.
# Every function does its work, reads the result back and prints one line that says what was read. What is already so
# stays so. Local accounts are looked up in /etc/passwd by their exact name: getent would take a name of digits for a uid.

set -u
umask 022
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

fail() { # what, expected, found
  printf '%s: expected %s, found %s\n' "$1" "$2" "${3:-nothing}" >&2
  exit 1
}

# --- files and commands

write_file() { # path, mode in octal, SHA-256 of the content, content
  out=$(mkdir -p -- "$(dirname -- "$1")" 2>&1) || fail "$1" "its folder" "$out"
  # Beside the file and renamed: whoever reads it sees the old content or the new, also after a power cut.
  rm -f -- "$1.deskwright-new"
  (umask 077 && printf '%s' "$4" >"$1.deskwright-new") || fail "$1" "to be written" "no room or no right"
  out=$(chmod -- "$2" "$1.deskwright-new" 2>&1 && mv -fT -- "$1.deskwright-new" "$1" 2>&1) ||
    fail "$1" "to be put in place" "$out"
  found="$(sha256sum <"$1" | cut -c 1-64) $(stat -c %a -- "$1")"
  [ "$found" = "$3 $2" ] || fail "$1" "content and mode $3 $2" "$found"
}

write_told() { # as write_file, and says so
  write_file "$@"
  printf '%s: %s bytes, mode %s\n' "$1" "$(stat -c %s -- "$1")" "$2"
}

run_command() { # command line, the command line that shows its result or nothing
  out=$(sh -c "$1" 2>&1)
  code=$?
  if [ -z "$2" ]; then
    [ "$code" = 0 ] || fail "$1" "exit code 0" "$code: $out"
    printf '%s: exit code 0%s\n' "$1" "${out:+, $out}"
    return
  fi
  found=$(sh -c "$2" 2>&1) || fail "$1" "'$2' to succeed" "${found:-no output} (the command: exit code $code${out:+, $out})"
  printf '%s: %s\n' "$1" "${found:-read back}"
}

set_computer_name() { # name
  [ "$(cat /etc/hostname 2>/dev/null)" = "$1" ] ||
    write_file /etc/hostname 644 "$(printf '%s\n' "$1" | sha256sum | cut -c 1-64)" "$1
"
  # A line that names it already may carry its name in a domain as well: that one stays.
  if ! named_in_hosts "$1"; then
    touch /etc/hosts
    hosts=$(awk '$1 != "127.0.1.1"' /etc/hosts; printf '127.0.1.1\t%s' "$1")
    write_file /etc/hosts 644 "$(printf '%s\n' "$hosts" | sha256sum | cut -c 1-64)" "$hosts
"
  fi
  [ "$(uname -n)" = "$1" ] || printf '%s\n' "$1" >/proc/sys/kernel/hostname ||
    fail "computer name" "the kernel to take $1" "a refusal"
  named_in_hosts "$1" || fail "computer name" "$1 in /etc/hosts" "none"
  found="$(uname -n) $(cat /etc/hostname)"
  [ "$found" = "$1 $1" ] || fail "computer name" "$1 $1" "$found"
  printf 'computer name %s\n' "$(uname -n)"
}

named_in_hosts() { # name
  awk -v name="$1" '$1 == "127.0.1.1" { for (i = 2; i <= NF; i++) if ($i == name) found = 1 } END { exit !found }' \
    /etc/hosts 2>/dev/null
}

# --- accounts

local_uid() { # name; prints nothing where there is no such account in this guest
  awk -F: -v name="$1" '$1 == name { print $3; exit }' /etc/passwd
}

person() { # name: an account of a person, never one of the system's that happens to have the same name
  uid=$(local_uid "$1")
  [ -n "$uid" ] || fail "account $1" "an account in this guest" "none"
  { [ "$uid" -ge 1000 ] && [ "$uid" -lt 60000 ]; } || fail "account $1" "a person's account" "the system's own, uid $uid"
}

account_state() { # name; prints "disabled" | "enabled, password to be changed" | "enabled"
  awk -F: -v name="$1" -v today="$(($(date +%s) / 86400))" '$1 == name {
    if ($2 == "" || $2 ~ /^[!*]/ || ($8 != "" && $8 <= today)) print "disabled"
    else print "enabled" ($3 == "0" ? ", password to be changed" : "")
  }' /etc/shadow
}

create_account() { # name
  if [ -n "$(local_uid "$1")" ]; then
    person "$1"
    printf 'account %s: there already, uid %s, %s\n' "$1" "$uid" "$(account_state "$1")"
    return
  fi
  # A group may have the name already (staff, users): then the account goes to the common group.
  if awk -F: -v name="$1" '$1 == name { found = 1 } END { exit !found }' /etc/group; then own=-N; else own=-U; fi
  # Expired from its first moment, so that it is never usable before it is meant to be.
  out=$(useradd -m "$own" -s /bin/bash -e 1970-01-02 -- "$1" 2>&1) || fail "account $1" "to be made" "$out"
  out=$(usermod -L -e 1970-01-02 -- "$1" 2>&1) || fail "account $1" "to be disabled" "$out"
  person "$1"
  found=$(account_state "$1")
  [ "$found" = disabled ] || fail "account $1" "disabled" "$found"
  home=$(awk -F: -v name="$1" '$1 == name { print $6 }' /etc/passwd)
  [ "$(stat -c %u -- "$home" 2>/dev/null)" = "$uid" ] || fail "account $1" "its home folder $home" "none of its own"
  printf 'account %s: made, uid %s, %s\n' "$1" "$uid" "$found"
}

enable_account() { # name, one-time password
  person "$1"
  # printf is the shell's own, so the password is in no process's arguments. It opens the account last.
  out=$(printf '%s:%s\n' "$1" "$2" | chpasswd 2>&1) || fail "account $1" "to take the password" "$out"
  out=$(chage -d 0 -- "$1" 2>&1 && usermod -e '' -- "$1" 2>&1) || fail "account $1" "to be enabled" "$out"
  found=$(account_state "$1")
  [ "$found" = "enabled, password to be changed" ] || fail "account $1" "enabled, password to be changed" "$found"
  printf 'account %s: %s at the first sign-in\n' "$1" "$found"
}

# --- groups and rights

is_member() { # group, name
  awk -F: -v group="$1" -v name="$2" '$1 == group {
    count = split($4, members, ","); for (i = 1; i <= count; i++) if (members[i] == name) found = 1
  } END { exit !found }' /etc/group
}

has_group() { # group
  awk -F: -v group="$1" '$1 == group { found = 1 } END { exit !found }' /etc/group
}

ensure_group() { # group
  has_group "$1" || out=$(groupadd -r -- "$1" 2>&1) || fail "group $1" "to be made" "$out"
}

add_local_administrator() { # name
  person "$1"
  ensure_group sudo
  is_member sudo "$1" || out=$(usermod -aG sudo -- "$1" 2>&1) || fail "administrator $1" "to join group sudo" "$out"
  is_member sudo "$1" || fail "administrator $1" "a member of group sudo" "no such member"
  printf '%s is an administrator: member of group sudo%s\n' "$1" "$(without_sudo)"
}

remove_local_administrator() { # name
  ! is_member sudo "$1" || out=$(gpasswd -d "$1" sudo 2>&1) || fail "administrator $1" "to leave group sudo" "$out"
  ! is_member sudo "$1" || fail "administrator $1" "no member of group sudo" "a member"
  printf '%s is not an administrator: not in group sudo\n' "$1"
}

without_sudo() {
  command -v sudo >/dev/null || printf ' (sudo itself is not installed here)'
}

# An identity of a directory need not be known here yet, and its groups are the directory's: so its right is a rule of
# sudo's, which is by name. Once the name is known the rule also carries the uid, because the directory's client may
# call the person otherwise than they sign in.
add_directory_administrator() { # name, rule file, the name as sudoers writes it
  who=$3
  known='not known in this guest yet'
  uid=$(getent passwd -- "$1" 2>/dev/null | cut -d : -f 3)
  if [ -n "$uid" ]; then
    [ "$uid" -ge 1000 ] || fail "administrator $1" "a person's account" "the system's own, uid $uid"
    who="$3, #$uid"
    known="uid $uid"
  fi
  [ -d /etc/sudoers.d ] || out=$(mkdir -m 750 /etc/sudoers.d 2>&1) || fail /etc/sudoers.d "to be made" "$out"
  rule="$who ALL=(ALL:ALL) ALL
"
  # sudo passes over names with a dot: an unchecked rule is never in force.
  (umask 077 && printf '%s' "$rule" >"$2.unchecked") || fail "$2" "to be written" "no room or no right"
  if command -v visudo >/dev/null; then
    out=$(visudo -cf "$2.unchecked" 2>&1) || { rm -f -- "$2.unchecked"; fail "$2" "a rule that visudo accepts" "$out"; }
  fi
  rm -f -- "$2.unchecked"
  write_file "$2" 440 "$(printf '%s' "$rule" | sha256sum | cut -c 1-64)" "$rule"
  [ ! -e /etc/sudoers ] || grep -Eq '^[#@]includedir[[:space:]]+/etc/sudoers\.d' /etc/sudoers ||
    fail /etc/sudoers "to include /etc/sudoers.d" "no such line"
  printf '%s is an administrator: %s, %s%s\n' "$1" "$2" "$known" "$(without_sudo)"
}

remove_directory_administrator() { # name, rule file
  rm -f -- "$2"
  [ ! -e "$2" ] || fail "administrator $1" "no rule $2" "one"
  printf '%s is not an administrator: no %s\n' "$1" "$2"
}

# xrdp as Debian configures it asks for membership of tsusers once that group exists, and lets everyone in before.
allow_sign_in() { # name, "local" or "directory"
  ensure_group tsusers
  if ! is_member tsusers "$1"; then
    if [ "$2" = local ]; then
      person "$1"
      out=$(usermod -aG tsusers -- "$1" 2>&1) || fail "sign-in of $1" "to join group tsusers" "$out"
    else
      # usermod and gpasswd refuse who is not known yet; the file takes any name.
      groups=$(awk -F: -v OFS=: -v name="$1" '$1 == "tsusers" { $4 = $4 ($4 == "" ? "" : ",") name } { print }' /etc/group)
      write_file /etc/group 644 "$(printf '%s\n' "$groups" | sha256sum | cut -c 1-64)" "$groups
"
    fi
  fi
  is_member tsusers "$1" || fail "sign-in of $1" "a member of group tsusers" "no such member"
  printf '%s may sign in remotely: member of group tsusers\n' "$1"
}

# --- the disk

root_entry() { # prints "major:minor file-system-type" of what is mounted at /
  # The uppermost mount is the last line; the optional fields before "-" vary in number.
  awk '$5 == "/" { for (i = 7; i <= NF; i++) if ($i == "-") { entry = $3 " " $(i + 1); break } } END { print entry }' \
    /proc/self/mountinfo
}

bytes_of_device() { # a folder of /sys/dev/block; the kernel counts in sectors of 512 bytes whatever the disk's are
  echo $(($(cat "$1/size") * 512))
}

bytes_of_file_system() { # type, device
  case $1 in
  # The superblock's own count: what df shows lacks the metadata.
  ext*) dumpe2fs -h "$2" 2>/dev/null | awk '/^Block count:/ { n = $3 } /^Block size:/ { s = $3 } END { printf "%.0f\n", n * s }' ;;
  *) stat -f -c '%b %S' / | awk '{ printf "%.0f\n", $1 * $2 }' ;;
  esac
}

grow_partition() { # GB the disk is to have; a GB of 1000^3 bytes is enough, since providers count either way
  entry=$(root_entry)
  type=${entry#* }
  here=$(readlink -f "/sys/dev/block/${entry%% *}") && [ -e "$here/size" ] ||
    fail "disk" "a block device at /" "${entry:-nothing mounted}"
  [ ! -d "$here/dm" ] || fail "disk" "a disk or a partition at /" "a mapped device (LVM or encryption)"
  device=/dev/$(sed -n 's/^DEVNAME=//p' "$here/uevent")
  disk=$here
  if [ -e "$here/partition" ]; then
    disk=$(dirname -- "$here")
    # Exit code 1 says there is nothing to gain; what counts is read below.
    out=$(growpart "/dev/$(sed -n 's/^DEVNAME=//p' "$disk/uevent")" "$(cat "$here/partition")" 2>&1) || [ $? = 1 ] ||
      fail "partition $device" "to be grown" "$out"
  fi
  case $type in
  ext*) out=$(resize2fs "$device" 2>&1) || fail "file system of $device" "to be grown" "$out" ;;
  xfs) out=$(xfs_growfs / 2>&1) || fail "file system of $device" "to be grown" "$out" ;;
  *) fail "file system of $device" "ext4 or xfs" "$type" ;;
  esac
  whole=$(bytes_of_device "$disk")
  covered=$(bytes_of_file_system "$type" "$device")
  [ "$whole" -ge $(($1 * 1000000000)) ] || fail "disk" "$1 GB" "$whole bytes"
  [ "$covered" -ge $((whole / 100 * 95)) ] || fail "file system of $device" "95 % of the disk's $whole bytes" "$covered bytes"
  printf 'file system of %s: %s of the disk'"'"'s %s bytes\n' "$device" "$covered" "$whole"
}

# --- ports

ports_of_set() { # set's name; prints its ports in order
  nft list set inet deskwright "$1" 2>/dev/null | sed -n '/elements/,/}/p' | tr -cs 0-9 '\n' | sort -n | xargs
}

block_ports() { # rules, their SHA-256, TCP ports, UDP ports, the gateway's rule or nothing, boot unit, its SHA-256
  command -v nft >/dev/null || fail "ports" "nftables in the guest" "no nft"
  write_file /etc/deskwright/ports.nft 644 "$2" "$1"
  out=$(nft -f /etc/deskwright/ports.nft 2>&1) || fail "ports" "rules that nft accepts" "$out"
  found="$(ports_of_set closed_tcp); $(ports_of_set closed_udp)"
  [ "$found" = "$3; $4" ] || fail "ports" "$3; $4" "$found"
  chain=$(nft list chain inet deskwright inbound 2>&1)
  for rule in "hook input" "tcp dport @closed_tcp drop" "udp dport @closed_udp drop" "$5"; do
    case $chain in *"$rule"*) ;; *) fail "ports" "the rule '$rule'" "$chain" ;; esac
  done
  kept='until the next start, as nothing here loads them'
  if command -v systemctl >/dev/null; then
    write_file /etc/systemd/system/deskwright-ports.service 644 "$7" "$6"
    out=$(systemctl enable deskwright-ports.service 2>&1) || fail "ports" "their unit enabled" "$out"
    [ -e /etc/systemd/system/sysinit.target.wants/deskwright-ports.service ] ||
      fail "ports" "their unit among those of sysinit.target" "none"
    kept='loaded at every start'
  elif grep -qs /etc/deskwright/ports.nft /sbin/init; then
    kept='loaded at every start'
  fi
  printf 'closed: TCP %s; UDP %s; %s; %s\n' "${3:-none}" "${4:-none}" "${5:-for everyone}" "$kept"
}

# --- the domain

join_domain() { # domain, realm, controller's name, its address, computer name, one-time password, name servers or nothing
  command -v adcli >/dev/null || fail "domain $1" "adcli in the guest (packages adcli and krb5-user)" "no adcli"
  # Whoever asks again while a join is under way waits for its end, and finds it done.
  exec 9>/run/deskwright-join.lock
  if command -v flock >/dev/null; then flock -w 60 9 || fail "domain $1" "the join under way to end" "none within 60 s"; fi
  # A name server that is silent holds nothing up for long.
  RES_OPTIONS='timeout:2 attempts:1'
  export RES_OPTIONS
  known=$(find_domain "$1" "$2" "$4" "$7") || exit 1
  how='joined already'
  if ! is_joined "$1" "$2" "$4" "$5"; then
    how='joined'
    # Of another domain, or of an account that is no longer this machine's.
    rm -f /etc/krb5.keytab
    # printf is the shell's own, so the password is in no process's arguments.
    out=$(printf '%s' "$6" | as_joining adcli join --domain="$1" --domain-controller="$4" --computer-name="$5" \
      --host-fqdn="$(printf '%s.%s' "$5" "$1" | tr '[:upper:]' '[:lower:]')" --login-type=computer \
      --stdin-password 2>&1) ||
      fail "domain $1" "a join as $5 at $3 ($4)" "$out, at $(date -u '+%Y-%m-%d %H:%M:%S UTC') by the clock here"
  fi
  out=$(as_joining adcli testjoin --domain="$1" --domain-controller="$4" 2>&1) ||
    fail "domain $1" "to sign in as $5 at $3" "$out"
  grep -aqF "$5\$" /etc/krb5.keytab || fail "domain $1" "a key of $5\$ in /etc/krb5.keytab" "none"
  ticket='no kinit here'
  if command -v kinit >/dev/null; then
    out=$(kinit -k -c MEMORY: "$5\$@$2" 2>&1 9>&-) || fail "domain $1" "a ticket for $5\$@$2" "$out"
    ticket="ticket for $5\$@$2"
  fi
  exec 9>&-
  unset RES_OPTIONS
  printf 'domain %s: %s as %s at %s; %s; %s\n' "$1" "$how" "$5" "$3" "$ticket" "$known"
}

is_joined() { # domain, realm, controller's address, computer name
  [ -s /etc/krb5.keytab ] && grep -aqF "$4\$" /etc/krb5.keytab && grep -aqF "$2" /etc/krb5.keytab &&
    as_joining adcli testjoin --domain="$1" --domain-controller="$3" >/dev/null 2>&1
}

# At the controller whose address is told, whatever DNS says. When clocks differ, the domain's refusal is heard: a client
# of MIT Kerberos would reckon with the difference by itself, and other programs would not.
as_joining() { # command line
  printf '[libdefaults]\n  kdc_timesync = 0\n  rdns = false\n  dns_lookup_kdc = false\n  %s\n' \
    'dns_canonicalize_hostname = false' >/run/deskwright-join.conf
  KRB5_CONFIG=/run/deskwright-join.conf "$@" 9>&-
}

find_domain() { # domain, realm, a controller's address, name servers or nothing; prints how the domain is found
  kdc=
  if has_domain "$1"; then
    known='found by DNS'
  elif [ -n "$4" ] && ask_name_servers "$1" "$4" && has_domain "$1"; then
    known="found by DNS ($4)"
  else
    kdc="    kdc = $3
"
    known="found at $3 only: the name servers here do not know it"
  fi
  # A configuration that somebody else wrote stays.
  if [ ! -s /etc/krb5.conf ] || grep -qs '^# By Deskwright' /etc/krb5.conf; then
    config="# By Deskwright
[libdefaults]
  default_realm = $2
  rdns = false${kdc:+
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false}
[realms]
  $2 = {
$kdc  }
[domain_realm]
  .$1 = $2
  $1 = $2
"
    write_file /etc/krb5.conf 644 "$(printf '%s' "$config" | sha256sum | cut -c 1-64)" "$config"
  fi
  printf '%s' "$known"
}

has_domain() { # domain
  timeout 10 adcli info "$1" >/dev/null 2>&1 9>&-
}

ask_name_servers() { # domain, addresses
  if [ -d /run/systemd/resolve ] && command -v resolvectl >/dev/null; then
    asked="[Resolve]
DNS=$2
Domains=~$1
"
    write_file /etc/systemd/resolved.conf.d/deskwright-domain.conf 644 \
      "$(printf '%s' "$asked" | sha256sum | cut -c 1-64)" "$asked"
    systemctl restart systemd-resolved >/dev/null 2>&1 9>&-
    return
  fi
  # Its servers come first: those of a domain look up other names as well. Those that were there stay behind them.
  asked=$(
    for server in $2; do echo "nameserver $server"; done
    cat /etc/resolv.conf 2>/dev/null | grep -vxF "$(for server in $2; do echo "nameserver $server"; done)"
  )
  write_file /etc/resolv.conf 644 "$(printf '%s\n' "$asked" | sha256sum | cut -c 1-64)" "$asked
"
}
