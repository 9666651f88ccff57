package deltalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	neturl "net/url"
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

	// ackWithin bounds the wait for an acknowledgement, and the connection's memory of it, when the caller sets no bound.
	ackWithin = 10 * time.Second
)

// Conn is a connection to the log. It heals by itself; it is safe for concurrent use.
type Conn struct {
	// Replicas is how many servers of a cluster keep each log that Create makes: 1, 3 or 5; 0 is 1. Set it before Create, which
	// brings a log that exists to it.
	Replicas int

	nc     *nats.Conn
	js     jetstream.JetStream
	logger *slog.Logger
	server *Server // whose disk it writes to, if that is in this process
}

// Connect connects to the server inside this process, as its writer. The connection goes on after Reopen.
func (s *Server) Connect() (*Conn, error) {
	c, err := connect("", s.cfg.Logger, nats.InProcessServer(inProcess{s}))
	if err == nil {
		c.server = s
	}
	return c, err
}

// ConnectTo connects to a NATS server or cluster elsewhere, as the writer. url is nats://USER:PASSWORD@HOST:PORT, or several of a
// cluster's with commas between. The user may use JetStream's API and the subjects "scanedge.>"; the server syncs each write to
// disk, or its logs are as safe as it makes them. It fails at once if nobody listens there, and waits as [Log.Patiently] does for
// JetStream to be ready.
func ConnectTo(ctx context.Context, url string, logger *slog.Logger) (*Conn, error) {
	c, err := connect(url, logger, nats.PingInterval(500*time.Millisecond), nats.MaxPingsOutstanding(2))
	if err != nil {
		return nil, err
	}
	if err := c.fit(ctx); err != nil {
		defer c.Close()
		return nil, fmt.Errorf("use the NATS server %s for the log: %w", c.nc.ConnectedUrlRedacted(), err)
	}
	return c, nil
}

// fit says what a server lacks to hold a log, and what to do about it.
func (c *Conn) fit(ctx context.Context) error {
	var major, minor int
	v := c.nc.ConnectedServerVersion()
	if _, err := fmt.Sscanf(v, "%d.%d.", &major, &minor); err != nil || major < 2 || major == 2 && minor < 12 {
		return fmt.Errorf("its version is %q, and atomic batches came with 2.12: give it a newer nats-server", v)
	}
	if most := c.nc.MaxPayload(); most < 1<<20 {
		return fmt.Errorf("it takes messages of at most %d bytes: set max_payload to 1MB in its configuration", most)
	}
	switch err := c.hello(ctx); {
	case errors.Is(err, errNoJetStream):
		return fmt.Errorf("%w: add jetstream { store_dir: …, sync_interval: always } to its configuration", err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: enable it for the account of the user that the URL names", err)
	case err != nil:
		return fmt.Errorf("its JetStream does not answer: %w; does it run, and may the user that the URL names publish to $JS.API.>?", err)
	}
	return nil
}

// hello asks JetStream whether it is there.
func (c *Conn) hello(ctx context.Context) error {
	return c.patiently(ctx, func() error {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := c.js.AccountInfo(try)
		if has, _ := c.nc.ConnectedServerJetStream(); errors.Is(err, jetstream.ErrJetStreamNotEnabled) && !has {
			return errNoJetStream
		}
		return err
	})
}

// errNoJetStream is the error of a server that is configured without.
var errNoJetStream = errors.New("it has no JetStream")

func connect(url string, logger *slog.Logger, opts ...nats.Option) (*Conn, error) {
	nc, err := nats.Connect(url, append(opts,
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.IgnoreAuthErrorAbort(), // else two refusals, as during a restart, close the connection for good
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("the log is out of reach; connecting again", "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { logger.Info("the log is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { logger.Debug("log connection", "err", err) }),
	)...)
	if bad := new(neturl.Error); errors.As(err, &bad) { // which repeats the password
		err = errors.New("its URL is not of the form nats://USER:PASSWORD@HOST:PORT; what is special in a password must be percent-encoded")
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the log: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(ackWithin), jetstream.WithPublishAsyncTimeout(ackWithin))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to the log: %w", err)
	}
	return &Conn{nc: nc, js: js, logger: logger}, nil
}

// Close ends the connection.
func (c *Conn) Close() { c.nc.Close() }

// Log is one issuer's stream. Replay is safe for concurrent use; Append is for one writer.
type Log struct {
	conn   *Conn
	issuer string
}

// Log returns the log of an issuer, which must have one.
func (c *Conn) Log(issuer string) *Log { return &Log{c, issuer} }

// Create returns the log of an issuer, made if it has none. It waits as [Log.Patiently] does.
func (c *Conn) Create(ctx context.Context, issuer string) (*Log, error) {
	l := c.Log(issuer)
	err := c.patiently(ctx, func() error {
		_, err := c.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name:               l.stream(),
			Subjects:           []string{l.subject("*")},
			Storage:            jetstream.FileStorage,
			Replicas:           max(1, c.Replicas),
			Discard:            jetstream.DiscardNew,
			AllowAtomicPublish: true,
			AllowMsgTTL:        true,
			DenyDelete:         true,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", issuer, full(err))
	}
	return l, nil
}

func (l *Log) stream() string             { return streamPrefix + l.issuer }
func (l *Log) subject(kind string) string { return subjectPrefix + l.issuer + "." + kind }
