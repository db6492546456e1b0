// The user app of users.acl logs in on one server, through Sentinel, and on a cluster.
import { createClient, createCluster, createSentinel } from 'redis';

const login = { username: 'app', password: 'change-me', RESP: 3 };
const fail = (error) => {
  throw error;
};

async function use(send) {
  const { token } = await send(['SESSION.CREATE', 'sessions:42']);
  if (typeof (await send(['SESSION.VALIDATE', 'sessions:42', token, 'BRIEF'])) !== 'number') throw new Error('not active');
  console.log(await send(['SESSION.REVOKE', 'sessions:42', token]));
}

const one = await createClient({ ...login, socket: { host: '127.0.0.1', port: SERVER } }).on('error', fail).connect();
await use((command) => one.sendCommand(command));
const sentinel = await createSentinel({
  name: 'sessions',
  sentinelRootNodes: [{ host: '127.0.0.1', port: SENTINEL }],
  nodeClientOptions: login,
  RESP: 3,
}).on('error', fail).connect();
await use((command) => sentinel.sendCommand(false, command));
console.log(await sentinel.sendCommand(true, ['SESSION.COUNT', 'sessions:nobody']));
const cluster = await createCluster({
  rootNodes: [{ socket: { host: '127.0.0.1', port: CLUSTER } }],
  defaults: login,
  RESP: 3,
}).on('error', fail).connect();
for (let user = 0; user < 30; user += 1) {
  await cluster.sendCommand(`sessions:${user}`, false, ['SESSION.CREATE', `sessions:${user}`]);
}
await use((command) => cluster.sendCommand(command[1], false, command));
process.exit(0);
