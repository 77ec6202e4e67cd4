# What a script of Deskwright can do inside a Windows guest; deskwright.guest.windows sends it ahead of the calls.
#
# Windows PowerShell 5.1, read from standard input as if typed: so no line that is empty reaches it and all is ASCII.
# Every function does its work, reads the result back and writes one line that says what was read. What is already so
# stays so. Groups are named by SID, because their names are localised.

$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

function Stop-Action($What, $Expected, $Found) {
  if ([string]::IsNullOrEmpty($Found)) { $Found = 'nothing' }
  [Console]::Error.WriteLine($What + ': expected ' + $Expected + ', found ' + $Found)
  exit 1
}

# --- registry, files and commands

function Set-RegistryDword($Add, $Query, $Value) {
  $what = $Add[1] + ': ' + $Add[3]
  $null = & reg.exe $Add
  if ($LASTEXITCODE -ne 0) { Stop-Action $what 'reg.exe add to succeed' ('exit code ' + $LASTEXITCODE) }
  $printed = (& reg.exe $Query) -join ' '
  $found = $null
  if ($printed -match '\sREG_DWORD\s+0x([0-9A-Fa-f]+)') { $found = [Convert]::ToUInt32($Matches[1], 16) }
  if ($found -ne $Value) { Stop-Action $what $Value $found }
  Write-Output ($what + ' = ' + $found)
}

function Set-FileText($Path, $Text) {
  $null = [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($Path))
  [IO.File]::WriteAllText($Path, $Text)
  # Ordinal: PowerShell's own comparison passes over characters without width.
  $same = [string]::Equals([IO.File]::ReadAllText($Path), $Text, [StringComparison]::Ordinal)
  if (-not $same) { Stop-Action $Path 'the content that was written' 'another' }
  Write-Output ($Path + ': ' + (New-Object IO.FileInfo $Path).Length + ' bytes')
}

function Set-Record($Name, $Text) {
  $folder = Join-Path $env:ProgramData 'Deskwright'
  $null = [IO.Directory]::CreateDirectory($folder)
  # Only SYSTEM and the administrators, whatever the folder above allows; files in it inherit that.
  $access = New-Object System.Security.AccessControl.DirectorySecurity
  $access.SetSecurityDescriptorSddlForm('D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)', 'Access')
  Set-Acl -LiteralPath $folder -AclObject $access
  $others = @((Get-Acl -LiteralPath $folder).Access | Where-Object {
    $sid = $_.IdentityReference.Translate([System.Security.Principal.SecurityIdentifier]).Value
    $sid -ne 'S-1-5-18' -and $sid -ne 'S-1-5-32-544'
  })
  if ($others.Count -ne 0) { Stop-Action $folder 'open to administrators only' ('open to ' + $others[0].IdentityReference) }
  Set-FileText (Join-Path $folder ($Name + '.json')) $Text
}

function Invoke-CommandLine($Command, $Check) {
  $global:LASTEXITCODE = 0
  $printed = (Invoke-Expression $Command | Out-String).Trim()
  $code = $global:LASTEXITCODE
  if ($Check -eq '') {
    if ($code -ne 0) { Stop-Action $Command 'exit code 0' ([string]$code + ': ' + $printed) }
    Write-Output ($Command + ': exit code 0, ' + $printed)
    return
  }
  # Some commands fail where there is nothing left to do: what is read afterwards decides.
  $global:LASTEXITCODE = 0
  try { $found = (Invoke-Expression $Check | Out-String).Trim() }
  catch { Stop-Action $Command 'its result' ($_.Exception.Message + ' (exit code ' + $code + ', ' + $printed + ')') }
  if ($global:LASTEXITCODE -ne 0) { Stop-Action $Command 'its result' $found }
  Write-Output ($Command + ': ' + $found)
}

function Set-ComputerName($Name) {
  # The name of the next start; $env:COMPUTERNAME is that of the present one.
  $key = 'HKLM:\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName'
  if ((Get-ItemProperty $key).ComputerName -ne $Name) {
    $null = Rename-Computer -NewName $Name -Force -WarningAction SilentlyContinue
  }
  $found = (Get-ItemProperty $key).ComputerName
  if ($found -ne $Name) { Stop-Action 'computer name' $Name $found }
  Write-Output ('computer name ' + $found + ' from the next start on, now ' + $env:COMPUTERNAME)
}

# --- accounts

function Get-Person($Name) {
  $user = Get-LocalUser | Where-Object { $_.Name -eq $Name }
  # Below 1000 are the built-in ones: a person called Guest must not be given that account.
  if ($user -and [long]($user.SID.Value.Split('-')[-1]) -lt 1000) {
    Stop-Action ('account ' + $Name) 'an account of a person' ('the built-in one, ' + $user.SID.Value)
  }
  $user
}

function New-Account($Name) {
  $user = Get-Person $Name
  if ($user) {
    Write-Output ('account ' + $Name + ': there already, enabled ' + $user.Enabled)
    return
  }
  $null = New-LocalUser -Name $Name -NoPassword -Disabled
  Disable-LocalUser -Name $Name
  $user = Get-Person $Name
  if (-not $user) { Stop-Action ('account ' + $Name) 'an account in this guest' 'none' }
  if ($user.Enabled) { Stop-Action ('account ' + $Name) 'disabled' 'enabled' }
  # New-LocalUser leaves it out of Users, and without that there is no desktop.
  Add-GroupMember 'S-1-5-32-545' $Name 'a user of this computer'
  Write-Output ('account ' + $Name + ': made, disabled')
}

function Enable-Account($Name, $Password) {
  $what = 'account ' + $Name
  if (-not (Get-Person $Name)) { Stop-Action $what 'an account in this guest' 'none' }
  $secure = ConvertTo-SecureString -String $Password -AsPlainText -Force
  Set-LocalUser -Name $Name -Password $secure -PasswordNeverExpires $false -UserMayChangePassword $true
  $account = [ADSI]('WinNT://./' + $Name + ',user')
  # 0x20 is "needs no password", left from the account's making.
  $account.UserFlags = $account.UserFlags.Value -band (-bnot 0x20)
  $account.PasswordExpired = 1
  $account.SetInfo()
  Enable-LocalUser -Name $Name
  $enabled = (Get-Person $Name).Enabled
  $account.RefreshCache()
  $expired = $account.PasswordExpired.Value
  if (-not $enabled) { Stop-Action $what 'enabled' 'disabled' }
  if ($expired -ne 1) { Stop-Action $what 'its password to be changed at the first sign-in' ('PasswordExpired ' + $expired) }
  Write-Output ($what + ': enabled, password to be changed at the first sign-in')
}

# --- groups

function Get-FullName($Member) {
  if ($Member.Contains('\') -or $Member.Contains('@')) { $Member } else { $env:COMPUTERNAME + '\' + $Member }
}

function Get-Sid($Member) {
  $account = New-Object System.Security.Principal.NTAccount (Get-FullName $Member)
  try { $account.Translate([System.Security.Principal.SecurityIdentifier]).Value } catch { $null }
}

function Get-GroupMemberSid($Group) {
  try { Get-LocalGroupMember -SID $Group | ForEach-Object { $_.SID.Value } }
  catch {
    # It fails as a whole over one member that cannot be resolved, as Entra's roles on a joined device: ask ADSI.
    $found = [ADSI]('WinNT://./' + (Get-LocalGroup -SID $Group).Name + ',group')
    foreach ($one in @($found.Invoke('Members'))) {
      $bytes = $one.GetType().InvokeMember('objectSid', 'GetProperty', $null, $one, $null)
      (New-Object System.Security.Principal.SecurityIdentifier $bytes, 0).Value
    }
  }
}

function Test-GroupMember($Group, $Member) {
  $sid = Get-Sid $Member
  $null -ne $sid -and @(Get-GroupMemberSid $Group) -contains $sid
}

function Add-GroupMember($Group, $Member, $Right) {
  if (-not (Test-GroupMember $Group $Member)) {
    try { Add-LocalGroupMember -SID $Group -Member (Get-FullName $Member) }
    catch { if ($_.FullyQualifiedErrorId -notlike 'MemberExists*') { throw } }
  }
  if (-not (Test-GroupMember $Group $Member)) { Stop-Action $Member ('a member of ' + $Group) 'no such member' }
  Write-Output ($Member + ' is ' + $Right + ': member of ' + $Group)
}

function Remove-GroupMember($Group, $Member, $Right) {
  if (Test-GroupMember $Group $Member) {
    try { Remove-LocalGroupMember -SID $Group -Member (Get-FullName $Member) }
    catch { if ($_.FullyQualifiedErrorId -notlike 'MemberNotFound*') { throw } }
  }
  if (Test-GroupMember $Group $Member) { Stop-Action $Member ('no member of ' + $Group) 'a member' }
  Write-Output ($Member + ' is not ' + $Right + ': not in ' + $Group)
}

# --- the disk

function Expand-SystemPartition($GB) {
  $largest = (Get-PartitionSupportedSize -DriveLetter C).SizeMax
  if ((Get-Partition -DriveLetter C).Size -lt $largest) { Resize-Partition -DriveLetter C -Size $largest }
  $partition = Get-Partition -DriveLetter C
  $disk = (Get-Disk -Number $partition.DiskNumber).Size
  $covered = (Get-Volume -DriveLetter C).Size
  # A GB of 1000^3 bytes is enough, since providers count either way.
  if ($disk -lt [uint64]$GB * 1000000000) { Stop-Action 'disk' ([string]$GB + ' GB') ([string]$disk + ' bytes') }
  if ($covered -lt $disk * 0.95) {
    Stop-Action 'drive C' ('95 % of the disk''s ' + $disk + ' bytes') ([string]$covered + ' bytes')
  }
  Write-Output ('drive C: ' + $covered + ' of the disk''s ' + $disk + ' bytes')
}

# --- ports

function Block-Ports($Tcp, $Udp, $From) {
  foreach ($one in @(@{ Protocol = 'TCP'; Ports = $Tcp }, @{ Protocol = 'UDP'; Ports = $Udp })) {
    $name = 'deskwright-closed-' + $one.Protocol.ToLowerInvariant()
    Get-NetFirewallRule -Name $name -ErrorAction SilentlyContinue | Remove-NetFirewallRule
    if ($one.Ports.Count -eq 0) { continue }
    $null = New-NetFirewallRule -Name $name -DisplayName ('Deskwright: closed ' + $one.Protocol + ' ports') `
      -Direction Inbound -Action Block -Protocol $one.Protocol -LocalPort $one.Ports -RemoteAddress $From
    $rule = Get-NetFirewallRule -Name $name
    $found = '{0} {1} {2}' -f $rule.Enabled, $rule.Direction, $rule.Action
    if ($found -ne 'True Inbound Block') { Stop-Action $name 'True Inbound Block' $found }
    $ports = @(($rule | Get-NetFirewallPortFilter).LocalPort | Sort-Object { [int]$_ }) -join ' '
    if ($ports -ne ($one.Ports -join ' ')) { Stop-Action $name ($one.Ports -join ' ') $ports }
    $addresses = @(($rule | Get-NetFirewallAddressFilter).RemoteAddress)
    if ($addresses.Count -ne $From.Count) { Stop-Action $name ($From -join ', ') ($addresses -join ', ') }
    Write-Output ('closed: ' + $one.Protocol + ' ' + $ports + ' from ' + ($addresses -join ', '))
  }
  # A rule does nothing where the firewall is off.
  $off = @(Get-NetFirewallProfile -PolicyStore ActiveStore | Where-Object { $_.Enabled -ne 'True' })
  if ($off.Count -ne 0) { Stop-Action 'firewall' 'on in every profile' ('off in ' + ($off.Name -join ', ')) }
}

# --- the domain

function Find-Domain($Domain, $NameServers) {
  $wanted = '_ldap._tcp.dc._msdcs.' + $Domain
  if (Resolve-DnsName -Name $wanted -Type SRV -ErrorAction SilentlyContinue) { return 'found by DNS' }
  if ($NameServers.Count -eq 0) { Stop-Action ('domain ' + $Domain) ('DNS to know ' + $wanted) 'no such name' }
  # Only what concerns the domain is asked there.
  foreach ($namespace in @($Domain, ('.' + $Domain))) {
    Get-DnsClientNrptRule | Where-Object { @($_.Namespace) -contains $namespace } | ForEach-Object {
      Remove-DnsClientNrptRule -Name $_.Name -Force
    }
    $null = Add-DnsClientNrptRule -Namespace $namespace -NameServers $NameServers -Comment 'Deskwright'
  }
  Clear-DnsClientCache
  if (-not (Resolve-DnsName -Name $wanted -Type SRV -ErrorAction SilentlyContinue)) {
    Stop-Action ('domain ' + $Domain) ('DNS to know ' + $wanted) ('no such name at ' + ($NameServers -join ', ') + ' either')
  }
  'found by DNS (' + ($NameServers -join ', ') + ')'
}

function Test-PendingJoin {
  $netlogon = Get-Item 'HKLM:\SYSTEM\CurrentControlSet\Services\Netlogon'
  $names = @($netlogon.GetValueNames())
  ($names -contains 'JoinDomain') -or ($names -contains 'AvoidSpnSet')
}

function Join-Domain($Domain, $Controller, $Name, $Password, $NameServers, $NeedsRestart) {
  $what = 'domain ' + $Domain
  $known = Find-Domain $Domain $NameServers
  $system = Get-CimInstance Win32_ComputerSystem
  $how = 'joined already'
  if ($system.PartOfDomain -and $system.Domain -ne $Domain) { Stop-Action $what 'a machine of no other domain' $system.Domain }
  if (-not $system.PartOfDomain) {
    $how = 'joined'
    # As Microsoft's example of a predefined computer account has it: without a user name, the password is the machine's.
    $secret = ConvertTo-SecureString -String $Password -AsPlainText -Force
    $credential = New-Object System.Management.Automation.PSCredential -ArgumentList ([pscustomobject]@{
      UserName = $null
      Password = $secret
    })
    $options = @('UnsecuredJoin', 'PasswordPass')
    # It was named a moment ago, and has not been started since.
    if ($env:COMPUTERNAME -ne $Name) { $options += 'JoinWithNewName' }
    $null = Add-Computer -DomainName $Domain -Server $Controller -Credential $credential -Options $options -Force `
      -WarningAction SilentlyContinue
  }
  $system = Get-CimInstance Win32_ComputerSystem
  $found = [string]$system.PartOfDomain + ' ' + $system.Domain
  if ($found -ne ('True ' + $Domain)) { Stop-Action $what ('True ' + $Domain) $found }
  if (Test-PendingJoin) {
    Write-Output ($what + ': ' + $how + ' as ' + $Name + ' at ' + $Controller + '; ' + $NeedsRestart + '; ' + $known)
    return
  }
  if (-not (Test-ComputerSecureChannel -Server $Controller)) {
    Stop-Action $what ('a secure channel to ' + $Controller) 'none'
  }
  Write-Output ($what + ': ' + $how + ' as ' + $env:COMPUTERNAME + '; secure channel to ' + $Controller + '; ' + $known)
}
