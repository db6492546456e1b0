// A login whose reply is lost. The page's connection and adapter stand before this.
await sessions.create('42').then(
  ({ id }) => console.log('answered', id),
  (error) => console.log('failed', error),
);
process.exit(0);
