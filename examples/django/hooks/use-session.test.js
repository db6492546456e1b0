// The hook against the running project, whose tests start this: API is its address, and PROVIDER the command that prints
// a token of the provider. Access tokens last for two seconds.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { createElement } from 'react';
import { create } from 'react-test-renderer';
import { SessionClient, useSession } from './use-session.js';

const { API, PROVIDER } = process.env;

function provided(user, seconds) {
  const [program, ...words] = JSON.parse(PROVIDER);
  return execFileSync(program, [...words, user, seconds], { encoding: 'utf8' }).trim();
}

function show(client) {
  const Page = () => {
    const { status, reason, isExpiring } = useSession(client);
    return [status, reason, isExpiring && 'expiring'].filter(Boolean).join(' ');
  };
  const page = create(createElement(Page));
  return () => page.toJSON();
}

async function until(what, condition) {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `still waiting: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Counts the requests to a path.
function watched(path) {
  const { fetch } = globalThis;
  const seen = [];
  globalThis.fetch = (url, options) => {
    if (url.endsWith(path)) seen.push(options);
    return fetch(url, options);
  };
  return seen;
}

test('tokens are refreshed by themselves', { skip: !API }, async () => {
  const refreshes = watched('/refresh');
  const client = new SessionClient(API);
  const page = show(client);
  await until('nobody is signed in', () => page() === 'signed-out');
  await client.signIn(provided('hook', 3600));
  await until('somebody is', () => page() === 'active');
  await until('two refreshes', () => refreshes.length >= 2);
  assert.equal((await client.fetch('/current')).status, 200);
  await client.signOut();
  await until('nobody is', () => page() === 'signed-out');
  assert.equal((await client.fetch('/current')).status, 401);
});

test('a warning precedes the end, and both are shown', { skip: !API }, async () => {
  const client = new SessionClient(API, { warnBefore: 4000 });
  const [page, states] = [show(client), []];
  client.subscribe(() => states.push(client.state()));
  await client.signIn(provided('hook', 8));
  await until('the end', () => page() === 'ended expired');
  assert.ok(states.some(({ status, isExpiring }) => status === 'active' && isExpiring));
});

test('an end on the server ends the session on the page, with its reason', { skip: !API }, async () => {
  const client = new SessionClient(API);
  const page = show(client);
  const token = provided('hook-too', 3600);
  await client.signIn(token);
  await until('somebody is signed in', () => page() === 'active');
  const [one, two] = await Promise.all([client.refresh(), client.refresh()]);
  assert.ok(one && two, 'one refresh at a time');
  assert.equal((await client.fetch('/invalidate-all', { method: 'POST' })).status, 200);
  await until('the next refresh finds out', () => page() === 'ended user_revoked');
  await assert.rejects(client.signIn(token), /user_revoked/);
  await assert.rejects(client.signIn('x'), /malformed/);
});
