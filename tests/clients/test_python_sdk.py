"""Microsoft's own Python SDKs, unmodified, over a socket: the whole life of a Cloud PC by each.

Values are compared, not only the absence of errors: the SDKs turn what they cannot read into None.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from deskwright.reconcile.entitlements import reconcile
from tests.clients.conftest import Served, administrator, token

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # the SDKs' own
PLAN = "Cloud PC Enterprise 2vCPU/8GB/128GB"


class Static:
    """A credential that holds one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


def _beta(served: Served) -> Any:
    from msgraph_beta import GraphServiceClient

    client = GraphServiceClient(Static(token(served)), scopes=["https://graph.microsoft.com/.default"])
    client.request_adapter.base_url = f"{served.url}/beta"
    return client


def _v1(served: Served, access: str) -> Any:
    from msgraph.graph_service_client import GraphServiceClient

    client = GraphServiceClient(Static(access), scopes=["https://graph.microsoft.com/.default"])
    client.request_adapter.base_url = f"{served.url}/v1.0"
    return client


async def _settle(served: Served) -> None:
    await asyncio.to_thread(served.company.settle)


async def _until(asked: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], tries: int = 50) -> Any:
    for _ in range(tries):
        found = await asked()
        if holds(found):
            return found
    raise AssertionError(f"never held; last: {found}")


def test_the_whole_life_in_beta(served: Served) -> None:
    asyncio.run(_closing(_life_in_beta, served, _beta(served)))


async def _closing(life: Callable[[Served, Any], Awaitable[None]], served: Served, client: Any) -> None:
    try:
        await life(served, client)
    finally:
        http = client.request_adapter._http_client
        await http._transport.transport.aclose()  # its own close leaves the connection open
        await http.aclose()


async def _life_in_beta(served: Served, client: Any) -> None:
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph_beta.generated.device_management.virtual_endpoint.cloud_p_cs.cloud_p_cs_request_builder import (
        CloudPCsRequestBuilder,
    )
    from msgraph_beta.generated.device_management.virtual_endpoint.cloud_p_cs.item.reprovision.reprovision_post_request_body import (  # noqa: E501
        ReprovisionPostRequestBody,
    )
    from msgraph_beta.generated.device_management.virtual_endpoint.provisioning_policies.item.assign.assign_post_request_body import (  # noqa: E501
        AssignPostRequestBody,
    )
    from msgraph_beta.generated.models.assigned_license import AssignedLicense
    from msgraph_beta.generated.models.cloud_pc_domain_join_configuration import CloudPcDomainJoinConfiguration
    from msgraph_beta.generated.models.cloud_pc_domain_join_type import CloudPcDomainJoinType
    from msgraph_beta.generated.models.cloud_pc_management_group_assignment_target import (
        CloudPcManagementGroupAssignmentTarget,
    )
    from msgraph_beta.generated.models.cloud_pc_on_premises_connection import CloudPcOnPremisesConnection
    from msgraph_beta.generated.models.cloud_pc_on_premises_connection_status import CloudPcOnPremisesConnectionStatus
    from msgraph_beta.generated.models.cloud_pc_on_premises_connection_type import CloudPcOnPremisesConnectionType
    from msgraph_beta.generated.models.cloud_pc_provisioning_policy import CloudPcProvisioningPolicy
    from msgraph_beta.generated.models.cloud_pc_provisioning_policy_assignment import (
        CloudPcProvisioningPolicyAssignment,
    )
    from msgraph_beta.generated.models.cloud_pc_provisioning_policy_image_type import (
        CloudPcProvisioningPolicyImageType,
    )
    from msgraph_beta.generated.models.cloud_pc_status import CloudPcStatus
    from msgraph_beta.generated.models.cloud_pc_windows_setting import CloudPcWindowsSetting
    from msgraph_beta.generated.models.group import Group
    from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph_beta.generated.models.password_profile import PasswordProfile
    from msgraph_beta.generated.models.reference_create import ReferenceCreate
    from msgraph_beta.generated.models.user import User
    from msgraph_beta.generated.users.item.assign_license.assign_license_post_request_body import (
        AssignLicensePostRequestBody,
    )

    served.company.site()
    served.company.plan(PLAN, seats=3)
    endpoint = client.device_management.virtual_endpoint

    # A person, a group, a licence.
    user = await client.users.post(
        User(
            account_enabled=True,
            display_name="Adele Vance",
            user_principal_name="adele@contoso.com",
            mail_nickname="adele",
            password_profile=PasswordProfile(password="Long-Enough-Pass-1", force_change_password_next_sign_in=True),
        )
    )
    assert (user.display_name, user.user_principal_name) == ("Adele Vance", "adele@contoso.com")
    group = await client.groups.post(
        Group(display_name="Sales", mail_enabled=False, mail_nickname="sales", security_enabled=True)
    )
    await client.groups.by_group_id(group.id).members.ref.post(
        ReferenceCreate(odata_id=f"https://graph.microsoft.com/beta/directoryObjects/{user.id}")
    )
    members = await client.groups.by_group_id(group.id).members.get()
    assert [m.id for m in members.value] == [user.id]
    assert [type(m).__name__ for m in members.value] == ["User"]
    skus = await client.subscribed_skus.get()
    (sku,) = skus.value
    assert (sku.consumed_units, sku.prepaid_units.enabled) == (0, 3)
    licensed = await client.users.by_user_id("adele@contoso.com").assign_license.post(
        AssignLicensePostRequestBody(add_licenses=[AssignedLicense(sku_id=sku.sku_id)], remove_licenses=[])
    )
    assert licensed.id == user.id

    # A connection, an image, a policy.
    connection = await endpoint.on_premises_connections.post(
        CloudPcOnPremisesConnection(
            display_name="HQ",
            connection_type=CloudPcOnPremisesConnectionType.AzureADJoin,
            subscription_id="0ac520ee-14c0-480f-b6c9-0a90c58f0001",
            resource_group_id="/subscriptions/0ac520ee-14c0-480f-b6c9-0a90c58f0001/resourceGroups/desks",
            virtual_network_id="/subscriptions/0ac520ee-14c0-480f-b6c9-0a90c58f0001/resourceGroups/desks/providers/"
            "Microsoft.Network/virtualNetworks/corp",
            subnet_id="/subscriptions/0ac520ee-14c0-480f-b6c9-0a90c58f0001/resourceGroups/desks/providers/"
            "Microsoft.Network/virtualNetworks/corp/subnets/10.20.0.0%2F24",
        )
    )
    await _settle(served)
    connection = await endpoint.on_premises_connections.by_cloud_pc_on_premises_connection_id(connection.id).get()
    assert connection.display_name == "HQ"
    assert connection.health_check_status == CloudPcOnPremisesConnectionStatus.Passed
    images = await endpoint.gallery_images.get()
    image = next(i for i in images.value if "debian" in (i.display_name or i.id).lower())
    policy = await endpoint.provisioning_policies.post(
        CloudPcProvisioningPolicy(
            display_name="Sales desktops",
            description="Standard æ desktop",
            image_id=image.id,
            image_type=CloudPcProvisioningPolicyImageType.Gallery,
            domain_join_configurations=[
                CloudPcDomainJoinConfiguration(
                    domain_join_type=CloudPcDomainJoinType.AzureADJoin, on_premises_connection_id=connection.id
                )
            ],
            windows_setting=CloudPcWindowsSetting(locale="en-GB"),
            cloud_pc_naming_template="CPC-%USERNAME:5%-%RAND:5%",
        )
    )
    assert (policy.display_name, policy.description) == ("Sales desktops", "Standard æ desktop")
    assert policy.windows_setting.locale == policy.windows_settings.language == "en-GB"
    assert policy.image_type == CloudPcProvisioningPolicyImageType.Gallery
    one = endpoint.provisioning_policies.by_cloud_pc_provisioning_policy_id(policy.id)
    await one.assign.post(
        AssignPostRequestBody(
            assignments=[
                CloudPcProvisioningPolicyAssignment(
                    target=CloudPcManagementGroupAssignmentTarget(
                        odata_type="#microsoft.graph.cloudPcManagementGroupAssignmentTarget", group_id=group.id
                    )
                )
            ]
        )
    )

    async def mine() -> Any:
        await _settle(served)
        query = CloudPCsRequestBuilder.CloudPCsRequestBuilderGetQueryParameters(
            filter="userPrincipalName eq 'adele@contoso.com'"
        )
        found = await endpoint.cloud_p_cs.get(request_configuration=RequestConfiguration(query_parameters=query))
        return found.value[0] if found.value else None

    # It comes up by itself.
    pc = await _until(mine, lambda pc: pc is not None and pc.status == CloudPcStatus.Provisioned)
    assert pc.provisioning_policy_id == policy.id
    assert pc.service_plan_name == PLAN
    assert pc.on_premises_connection_name == "HQ"
    assert (pc.managed_device_name or "").startswith("CPC-")
    cloud_pc = endpoint.cloud_p_cs.by_cloud_p_c_id(pc.id)

    # Reprovision, another device name.
    await cloud_pc.reprovision.post(ReprovisionPostRequestBody())
    again = await _until(
        mine, lambda new: new.status == CloudPcStatus.Provisioned and new.managed_device_name != pc.managed_device_name
    )
    assert again.id == pc.id

    # Removed from the group: grace; ended: gone.
    await client.groups.by_group_id(group.id).members.by_directory_object_id(user.id).ref.delete()
    leaving = await _until(mine, lambda pc: pc.status == CloudPcStatus.InGracePeriod)
    assert leaving.grace_period_end_date_time is not None
    await cloud_pc.end_grace_period.post()
    await _settle(served)
    await asyncio.to_thread(served.company.advance, hours=4)
    assert await mine() is None or (await mine()).status == CloudPcStatus.NotProvisioned
    with pytest.raises(ODataError) as gone:
        await endpoint.cloud_p_cs.by_cloud_p_c_id("00000000-0000-0000-0000-000000000001").get()
    assert gone.value.response_status_code == 404
    assert gone.value.error.inner_error.request_id


def test_the_whole_life_in_v1(served: Served) -> None:
    """v1.0's Cloud PC has no status: its launch detail turns from 404 to 200 when it is ready."""
    asyncio.run(_closing(_life_in_v1, served, _v1(served, administrator(served))))


async def _life_in_v1(served: Served, client: Any) -> None:
    from msgraph.generated.device_management.virtual_endpoint.cloud_p_cs.item.reprovision.reprovision_post_request_body import (  # noqa: E501
        ReprovisionPostRequestBody,
    )
    from msgraph.generated.device_management.virtual_endpoint.provisioning_policies.item.assign.assign_post_request_body import (  # noqa: E501
        AssignPostRequestBody,
    )
    from msgraph.generated.groups.item.assign_license.assign_license_post_request_body import (
        AssignLicensePostRequestBody,
    )
    from msgraph.generated.models.assigned_license import AssignedLicense
    from msgraph.generated.models.cloud_pc_device_image import CloudPcDeviceImage
    from msgraph.generated.models.cloud_pc_device_image_status import CloudPcDeviceImageStatus
    from msgraph.generated.models.cloud_pc_domain_join_configuration import CloudPcDomainJoinConfiguration
    from msgraph.generated.models.cloud_pc_domain_join_type import CloudPcDomainJoinType
    from msgraph.generated.models.cloud_pc_management_group_assignment_target import (
        CloudPcManagementGroupAssignmentTarget,
    )
    from msgraph.generated.models.cloud_pc_on_premises_connection import CloudPcOnPremisesConnection
    from msgraph.generated.models.cloud_pc_on_premises_connection_type import CloudPcOnPremisesConnectionType
    from msgraph.generated.models.cloud_pc_provisioning_policy import CloudPcProvisioningPolicy
    from msgraph.generated.models.cloud_pc_provisioning_policy_assignment import CloudPcProvisioningPolicyAssignment
    from msgraph.generated.models.cloud_pc_provisioning_policy_image_type import CloudPcProvisioningPolicyImageType
    from msgraph.generated.models.cloud_pc_user_setting import CloudPcUserSetting
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph.generated.models.reference_create import ReferenceCreate

    company = served.company
    company.site()
    company.plan(PLAN, seats=3)
    company.user("alex")
    company.group("Finance")
    endpoint = client.device_management.virtual_endpoint
    plans = await endpoint.service_plans.get()
    assert [(p.display_name, p.v_cpu_count, p.ram_in_g_b) for p in plans.value] == [(PLAN, 2, 8)]
    groups = await client.groups.get()
    (group,) = groups.value
    assert group.display_name == "Finance"
    user = await client.users.by_user_id("alex@contoso.com").get()
    members = client.groups.by_group_id(group.id).members
    await members.ref.post(ReferenceCreate(odata_id=f"{served.url}/v1.0/directoryObjects/{user.id}"))
    await client.groups.by_group_id(group.id).assign_license.post(
        AssignLicensePostRequestBody(add_licenses=[AssignedLicense(sku_id=plans.value[0].id)], remove_licenses=[])
    )
    setting = await endpoint.user_settings.post(CloudPcUserSetting(display_name="Admins", local_admin_enabled=True))
    assert setting.local_admin_enabled is True

    # A connection, an image of one's own, a policy with both.
    connection = await endpoint.on_premises_connections.post(
        CloudPcOnPremisesConnection(
            display_name="HQ",
            connection_type=CloudPcOnPremisesConnectionType.AzureADJoin,
            subscription_id="0ac520ee-14c0-480f-b6c9-0a90c58f0001",
            resource_group_id="desks",
            virtual_network_id="corp",
            subnet_id="10.20.0.0/24",
        )
    )
    sources = await endpoint.device_images.get_source_images.get()
    source = next(s for s in sources.value if "debian" in s.resource_id.lower())
    image = await endpoint.device_images.post(
        CloudPcDeviceImage(display_name="Finance", version="1.0.0", source_image_resource_id=source.resource_id)
    )
    assert (image.display_name, image.status) == ("Finance", CloudPcDeviceImageStatus.Pending)
    for _ in range(10):
        await asyncio.to_thread(company.advance, hours=1)
        image = await endpoint.device_images.by_cloud_pc_device_image_id(image.id).get()
        if image.status == CloudPcDeviceImageStatus.Ready:
            break
    assert image.status == CloudPcDeviceImageStatus.Ready
    policy = await endpoint.provisioning_policies.post(
        CloudPcProvisioningPolicy(
            display_name="Finance desktops",
            image_id=image.id,
            image_type=CloudPcProvisioningPolicyImageType.Custom,
            domain_join_configurations=[
                CloudPcDomainJoinConfiguration(
                    domain_join_type=CloudPcDomainJoinType.AzureADJoin, on_premises_connection_id=connection.id
                )
            ],
        )
    )
    target = CloudPcManagementGroupAssignmentTarget(
        odata_type="#microsoft.graph.cloudPcManagementGroupAssignmentTarget", group_id=group.id
    )
    one = endpoint.provisioning_policies.by_cloud_pc_provisioning_policy_id(policy.id)
    await one.assign.post(AssignPostRequestBody(assignments=[CloudPcProvisioningPolicyAssignment(target=target)]))
    mine = client.users.by_user_id("alex@contoso.com").cloud_p_cs

    async def found() -> Any:
        await asyncio.to_thread(reconcile, company.world.database, company.tenant.id)
        page = await mine.get()
        return page.value[0] if page.value else None

    # Under way: there is a Cloud PC, and no way into it. Then there is.
    pc = await _until(found, lambda pc: pc is not None)
    cloud_pc = endpoint.cloud_p_cs.by_cloud_p_c_id(pc.id)

    async def launch() -> Any:
        try:
            return await cloud_pc.retrieve_cloud_pc_launch_detail.get()
        except ODataError as error:
            return error.response_status_code

    assert await launch() == 404
    await _settle(served)
    detail = await launch()
    assert detail.cloud_pc_id == pc.id
    assert detail.cloud_pc_launch_url.endswith(pc.id)
    pc = await cloud_pc.get()
    assert (pc.provisioning_policy_name, pc.user_principal_name) == ("Finance desktops", "alex@contoso.com")
    assert (pc.image_display_name, pc.on_premises_connection_name) == ("Finance 1.0.0", "HQ")

    # Reprovision: another device name, the same Cloud PC.
    await cloud_pc.reprovision.post(ReprovisionPostRequestBody())
    assert await launch() == 404
    await _settle(served)
    again = await cloud_pc.get()
    assert again.managed_device_name != pc.managed_device_name
    with pytest.raises(ODataError) as refused:
        await one.delete()
    assert refused.value.response_status_code == 409

    # Removed: grace; ended: gone.
    await members.by_directory_object_id(user.id).ref.delete()
    await _settle(served)
    assert (await cloud_pc.get()).grace_period_end_date_time is not None
    await cloud_pc.end_grace_period.post()
    await asyncio.to_thread(company.advance, hours=4)
    assert [p.id for p in (await endpoint.cloud_p_cs.get()).value if p.id == pc.id and p.managed_device_name] == []
    await one.assign.post(AssignPostRequestBody(assignments=[]))
    await one.delete()
    assert (await endpoint.provisioning_policies.get()).value == []
