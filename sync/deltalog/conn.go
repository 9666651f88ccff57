package deltalog

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamPrefix  = "issuer_"
	subjectPrefix = "scanedge."

	// BeatTTL is how long the log keeps a beat: long enough for an edge that follows to see it, short enough that beats never
	// fill a disk.
	BeatTTL = time.Minute
)

// Conn is a connection to the log. It heals by itself; it is safe for concurrent use.
type Conn struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// Dial connects to the log at url as an edge.
func Dial(url, token string, logger *slog.Logger) (*Conn, error) {
	return connect(url, logger, nats.UserInfo(EdgeUser, token))
}

// Connect connects to the server inside this process, as its writer.
func (s *Server) Connect() (*Conn, error) {
	return connect("", s.cfg.Logger, nats.InProcessServer(s.ns), nats.UserInfo(originUser, s.cfg.OriginToken))
}

func connect(url string, logger *slog.Logger, opts ...nats.Option) (*Conn, error) {
	nc, err := nats.Connect(url, append(opts,
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.IgnoreAuthErrorAbort(), // else two refusals, as during a restart, close the connection for good
		nats.PingInterval(500*time.Millisecond),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("the log is out of reach; connecting again", "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { logger.Info("the log is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { logger.Debug("log connection", "err", err) }),
	)...)
	if err != nil {
		return nil, fmt.Errorf("connect to the log: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to the log: %w", err)
	}
	return &Conn{nc, js}, nil
}

// Close ends the connection.
func (c *Conn) Close() { c.nc.Close() }

// Log is one issuer's stream. Follow is safe for concurrent use; Append is for one writer.
type Log struct {
	conn   *Conn
	issuer string
}

// Log returns the log of an issuer, which must have one.
func (c *Conn) Log(issuer string) *Log { return &Log{c, issuer} }

// Create returns the log of an issuer, made if it has none.
func (c *Conn) Create(ctx context.Context, issuer string) (*Log, error) {
	l := c.Log(issuer)
	_, err := c.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:               l.stream(),
		Subjects:           []string{l.subject("*")},
		Storage:            jetstream.FileStorage,
		Discard:            jetstream.DiscardNew,
		AllowAtomicPublish: true,
		AllowMsgTTL:        true,
		DenyDelete:         true,
	})
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", issuer, err)
	}
	return l, nil
}

func (l *Log) stream() string             { return streamPrefix + l.issuer }
func (l *Log) subject(kind string) string { return subjectPrefix + l.issuer + "." + kind }

// Last returns the sequence of the last message ever stored, 0 if none was.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	s, err := l.conn.js.Stream(ctx, l.stream())
	if err != nil {
		return 0, fmt.Errorf("ask the log of %s for its end: %w", l.issuer, err)
	}
	return s.CachedInfo().State.LastSeq, nil
}
