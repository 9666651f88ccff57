// Package deltalog is the durable log of an issuer's records, on NATS JetStream. No other package knows NATS.
//
//   - server.go: [Server], the JetStream that an origin embeds; every write is fsynced before it is acknowledged
//   - conn.go: [Conn], a connection to it; [Log], one issuer's stream
//   - append.go: [Log.Append], one record, atomic whatever its size
//   - follow.go: [Log.Follow], records in order, from a cursor on, for ever
//   - piece.go: how a record that is larger than a message is cut and put together
//
// # Positions
//
// A record lies in one or more messages that were stored together; its offset is the stream sequence of the last. Beats expire
// after [BeatTTL], so sequences have gaps: whether a batch is missing is for the chain of the records to say, not for them.
//
// # One writer
//
// Append names the sequence that it expects to be last. A second origin on the same stream is refused by the server, not by
// luck. When Append fails nobody knows whether the record was stored: append nothing before the tail was read again.
package deltalog
