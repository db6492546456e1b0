// A login whose reply is lost. The page's connection and functions stand before this.
await send('SESSION.CREATE', key('42')).then(
  (reply) => console.log('answered', asMap(reply).id),
  (error) => console.log('failed', error),
);
process.exit(0);
