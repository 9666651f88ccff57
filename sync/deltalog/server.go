package deltalog

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// EdgeUser is the name by which edges log in to the log; they may read it and nothing else.
const EdgeUser = "edge"

const originUser = "origin"

// ServerConfig is what a Server is made from.
type ServerConfig struct {
	Dir         string // where JetStream keeps its files
	Listen      string // HOST:PORT for edges; port 0 picks one
	OriginToken string // the writer's password
	EdgeToken   string // the edges' password
	Logger      *slog.Logger
}

// Server is a NATS server with JetStream inside this process. It fsyncs each write before it acknowledges it.
type Server struct {
	ns  *server.Server
	cfg ServerConfig
}

// StartServer starts a server on cfg and returns once it serves.
func StartServer(cfg ServerConfig) (*Server, error) {
	host, port, err := splitListen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	// The server itself would end the process when it can't listen; ask first, to answer as other listeners do.
	if err := probe(cfg.Listen); err != nil {
		return nil, err
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "scanedge-origin",
		Host:       host,
		Port:       port,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   cfg.Dir,
		SyncAlways: true,
		Users:      []*server.User{{Username: originUser, Password: cfg.OriginToken}, edgeUser(cfg.EdgeToken)},

		DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start the log in %s: %w", cfg.Dir, err)
	}
	ns.SetLoggerV2(serverLog{cfg.Logger.With("part", "log")}, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(30 * time.Second) {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, fmt.Errorf("start the log in %s: not up within 30 s; its own lines in the log above say why", cfg.Dir)
	}
	return &Server{ns, cfg}, nil
}

func splitListen(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil {
		return "", 0, fmt.Errorf("listen on %q for edges that follow the log: %w; give HOST:PORT", addr, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

func probe(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for edges that follow the log: %w; give another --nats-listen HOST:PORT", err)
	}
	return l.Close()
}

// edgeUser may create ordered consumers and pull from them, of any stream: all are issuers'. Forging is left to the signature to prevent, for a reply subject
// goes where its sender says.
func edgeUser(token string) *server.User {
	return &server.User{Username: EdgeUser, Password: token, Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"$JS.API.INFO",
			"$JS.API.STREAM.INFO.*",
			"$JS.API.CONSUMER.CREATE.*.>",
			"$JS.API.CONSUMER.DELETE.*.*",
			"$JS.API.CONSUMER.INFO.*.*",
			"$JS.API.CONSUMER.MSG.NEXT.*.*",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}}
}

// Addr is where edges find the log, HOST:PORT.
func (s *Server) Addr() string { return s.ns.Addr().String() }

// Stop ends the server; what was acknowledged is on disk.
func (s *Server) Stop() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// serverLog passes the server's own lines on.
type serverLog struct{ *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.Error(fmt.Sprintf(format, v...)) }

// Warnf drops one line: a password is a token of 130 random bits, which no hash makes harder to guess.
func (l serverLog) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, "Plaintext passwords detected") {
		l.Warn(fmt.Sprintf(format, v...))
	}
}
func (l serverLog) Debugf(format string, v ...any) {}
func (l serverLog) Tracef(format string, v ...any) {}
