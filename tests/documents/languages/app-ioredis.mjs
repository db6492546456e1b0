// The user app of users.acl logs in on one server, through Sentinel, and on a cluster.
import Redis, { Cluster } from 'ioredis';

const login = { username: 'app', password: 'change-me' };

async function use(client) {
  const reply = await client.call('SESSION.CREATE', 'sessions:42', 'JSON');
  const { token } = JSON.parse(reply);
  if (typeof (await client.call('SESSION.VALIDATE', 'sessions:42', token, 'BRIEF')) !== 'number') {
    throw new Error('not active');
  }
  console.log(await client.call('SESSION.REVOKE', 'sessions:42', token));
}

await use(new Redis({ ...login, host: '127.0.0.1', port: SERVER }));
const sentinels = { sentinels: [{ host: '127.0.0.1', port: SENTINEL }], name: 'sessions' };
await use(new Redis({ ...login, ...sentinels }));
console.log(await new Redis({ ...login, ...sentinels, role: 'slave' }).call('SESSION.COUNT', 'sessions:nobody'));
const cluster = new Cluster([{ host: '127.0.0.1', port: CLUSTER }], { redisOptions: login });
for (let user = 0; user < 30; user += 1) {
  await cluster.call('SESSION.CREATE', `sessions:${user}`);
}
await use(cluster);
process.exit(0);
