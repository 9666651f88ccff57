// Package deltalog is the durable log of an issuer's records, on NATS JetStream. No other package knows NATS.
//
//   - server.go: [Server], the JetStream that an origin embeds; every write is fsynced before it is acknowledged
//   - full.go, room_*.go: [ErrFull], what a full disk does, and [Server.Room] that is left
//   - conn.go: [Conn], a connection to a log, embedded or not; [Log], one issuer's stream
//   - patience.go: [Log.Patiently], how a start waits for servers elsewhere that are on their way back
//   - append.go: [Log.AppendGroup], records, all or none, whatever their size
//   - replay.go: [Log.Replay], records in order, from a cursor on
//   - trim.go: [Log.Trim], [Log.Bounds] and [Log.Begin], the log's old end
//   - piece.go: how a record that is larger than a message is cut and put together
//
// # Positions
//
// A record lies in one or more messages; its offset is the stream sequence of the last. Beats expire after [BeatTTL], the front
// of a record whose end never came is passed over, and the old end is trimmed: sequences have gaps, and a log may begin
// anywhere. Whether a batch is missing is for the chain of the records to say, not for them.
//
// # One writer
//
// Every message names the sequence that it expects to be last. A second origin on the same stream is refused by the server, not
// by luck. When an append fails nobody knows whether it was stored: append nothing before the tail was read again. What was
// not there then may still be on its way, until an append of the writer's own has succeeded after it.
package deltalog
