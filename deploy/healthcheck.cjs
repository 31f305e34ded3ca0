// Exit status 0 while the gRPC server at the given port answers SERVING: node healthcheck.cjs 50051
const { Client, credentials, Metadata } = require('@grpc/grpc-js');

// The health protocol's two messages are so small that they are written out here: an empty request asks for the server as
// a whole, and the answer 08 01 says SERVING.
const client = new Client(`127.0.0.1:${process.argv[2]}`, credentials.createInsecure());
client.makeUnaryRequest(
  '/grpc.health.v1.Health/Check',
  () => Buffer.alloc(0),
  (bytes) => bytes.length === 2 && bytes[0] === 8 && bytes[1] === 1,
  new Metadata(),
  (error, serving) => process.exit(!error && serving ? 0 : 1),
);
setTimeout(() => process.exit(1), 2_000);
