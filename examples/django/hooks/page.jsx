// A page with the hook: sign in with the provider's token, see where you are signed in, sign out.

import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { SessionClient, useSession } from './use-session.js';

const client = new SessionClient('/api/sessions');

function SignIn() {
  const [refusal, setRefusal] = useState(null);
  const signIn = (form) => client.signIn(form.get('token').trim()).then(
    () => setRefusal(null),
    (error) => setRefusal(error.message),
  );
  return (
    <form action={signIn}>
      <label>Token of the provider: <input name="token" autoComplete="off" required /></label>
      <button>Sign in</button>
      {refusal && <p role="alert">You cannot sign in: {refusal}.</p>}
    </form>
  );
}

function Devices() {
  const [devices, setDevices] = useState([]);
  const load = async () => {
    const response = await client.fetch('');
    if (response.ok) setDevices(await response.json());
  };
  return (
    <>
      <button id="devices" onClick={load}>Show my devices</button>
      <ul>{devices.map(({ id, agent, current }) => <li key={id}>{current ? 'This device' : agent}</li>)}</ul>
    </>
  );
}

function Page() {
  const { status, reason, isExpiring, isOffline, expiresAt } = useSession(client);
  if (status !== 'active') {
    return (
      <>
        <p role="status">{status === 'ended' ? `Your session has ended: ${reason}.` : 'You are not signed in.'}</p>
        <SignIn />
      </>
    );
  }
  return (
    <>
      <p role="status">You are signed in until {expiresAt.toLocaleTimeString()}.</p>
      {isOffline && <p role="alert">The server cannot be reached. Trying again...</p>}
      {isExpiring && <><p role="alert">Your session ends soon. Sign in again to go on.</p><SignIn /></>}
      <Devices />
      <button id="sign-out" onClick={() => client.signOut()}>Sign out</button>
    </>
  );
}

createRoot(document.getElementById('page')).render(<Page />);
