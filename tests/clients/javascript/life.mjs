// The life of a Cloud PC by Microsoft's JavaScript client. Arguments come by environment: BASE, TOKEN, GROUP, USER,
// SETTLE (a URL that lets the work be done, and simulated time pass). Prints what it saw as JSON.
import assert from "node:assert/strict";
import { Client, PageIterator } from "@microsoft/microsoft-graph-client";

const { BASE, TOKEN, GROUP, USER, SETTLE } = process.env;
const client = Client.init({
  baseUrl: `${BASE}/`,
  defaultVersion: "beta",
  customHosts: new Set([new URL(BASE).hostname]),
  authProvider: (done) => done(null, TOKEN),
});
const endpoint = "/deviceManagement/virtualEndpoint";
const settle = () => fetch(SETTLE, { method: "POST" });

// A connection, an image of one's own, a licence for the group.
const connection = await client.api(`${endpoint}/onPremisesConnections`).post({
  displayName: "HQ",
  type: "azureADJoin",
  subscriptionId: "0ac520ee-14c0-480f-b6c9-0a90c58f0001",
  resourceGroupId: "desks",
  virtualNetworkId: "corp",
  subnetId: "10.20.0.0/24",
});
assert.equal(connection.connectionType, "azureADJoin");
const sources = await client.api(`${endpoint}/deviceImages/getSourceImages`).get();
const image = await client.api(`${endpoint}/deviceImages`).post({
  displayName: "Sales",
  version: "2.1.0",
  sourceImageResourceId: sources.value.find((s) => s.resourceId.includes("debian")).resourceId,
});
const day = () => fetch(`${SETTLE}?hours=24`, { method: "POST" });
await day();
assert.equal((await client.api(`${endpoint}/deviceImages/${image.id}`).get()).status, "ready");
const skus = await client.api("/subscribedSkus").get();
await client.api(`/groups/${GROUP}/assignLicense`).post({
  addLicenses: [{ skuId: skus.value[0].skuId, disabledPlans: [] }],
  removeLicenses: [],
});

const policy = await client.api(`${endpoint}/provisioningPolicies`).post({
  "@odata.type": "#microsoft.graph.cloudPcProvisioningPolicy",
  displayName: "From JavaScript",
  description: "",
  provisioningType: "dedicated",
  imageId: image.id,
  imageType: "custom",
  domainJoinConfigurations: [{ type: "azureADJoin", onPremisesConnectionId: connection.id }],
  windowsSettings: { language: "en-US" },
});
assert.equal(policy.displayName, "From JavaScript");
assert.equal(policy.domainJoinConfigurations[0].domainJoinType, "azureADJoin");

await client.api(`${endpoint}/provisioningPolicies/${policy.id}/assign`).post({
  assignments: [{ target: { groupId: GROUP } }],
});
const expanded = await client.api(`${endpoint}/provisioningPolicies/${policy.id}`).expand("assignments").get();
assert.equal(expanded.assignments[0].target.groupId, GROUP);

const states = [];
const mine = async () => {
  await settle();
  const found = await client.api(`${endpoint}/cloudPCs`).filter(`userPrincipalName eq '${USER}'`).get();
  const pc = found.value[0];
  states.push(pc?.status ?? "gone");
  return pc;
};
let pc = await mine();
for (let n = 0; n < 50 && pc?.status !== "provisioned"; n++) pc = await mine();
assert.equal(pc.status, "provisioned");
assert.equal(pc.provisioningPolicyName, "From JavaScript");

// Paging by the iterator, one at a time.
const seen = [];
const first = await client.api(`${endpoint}/cloudPCs`).top(1).get();
await new PageIterator(client, first, (item) => seen.push(item.id) > 0).iterate();
assert.equal(new Set(seen).size, seen.length);

await client.api(`${endpoint}/cloudPCs/${pc.id}/reboot`).post({});
await settle();
const results = await client.api(`${endpoint}/cloudPCs/${pc.id}/retrieveCloudPCRemoteActionResults`).get();
assert.equal(results.value[0].actionName, "Reboot");
assert.equal(results.value[0].actionState, "done");

// Reprovisioned: another device.
const before = pc.managedDeviceName;
await client.api(`${endpoint}/cloudPCs/${pc.id}/reprovision`).post({});
for (let n = 0; n < 50 && (pc.status !== "provisioned" || pc.managedDeviceName === before); n++) pc = await mine();
assert.notEqual(pc.managedDeviceName, before);

await assert.rejects(client.api(`${endpoint}/provisioningPolicies/${policy.id}`).delete(), (error) => {
  assert.equal(error.statusCode, 409);
  return true;
});
await client.api(`${endpoint}/provisioningPolicies/${policy.id}/assign`).post({ assignments: [] });
pc = await mine();
assert.equal(pc.status, "inGracePeriod");
await client.api(`${endpoint}/cloudPCs/${pc.id}/endGracePeriod`).post({});
await day();
assert.notEqual((await mine())?.status, "inGracePeriod");
await client.api(`${endpoint}/provisioningPolicies/${policy.id}`).delete();
console.log(JSON.stringify({ pages: seen.length, states: [...new Set(states)] }));
