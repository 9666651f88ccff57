package deltalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ServerConfig is what a Server is made from.
type ServerConfig struct {
	Dir    string // where JetStream keeps its files
	Logger *slog.Logger
}

// Server is a NATS server with JetStream inside this process, which alone can connect to it: it listens nowhere. It fsyncs each
// write before it acknowledges it. Its methods are safe for concurrent use.
type Server struct {
	cfg ServerConfig
	run atomic.Pointer[run]

	opening sync.Mutex // held while the server is stopped or started
	stopped bool
}

// run is the server from one start to the next.
type run struct {
	ns    *server.Server
	roomy context.Context // ends when the disk was full: JetStream stores nothing from then on
}

// StartServer starts a server on cfg and returns once it serves.
func StartServer(cfg ServerConfig) (*Server, error) {
	s := &Server{cfg: cfg}
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, nil
}

// start makes a run. On an error there is none, or an ended one still.
func (s *Server) start() error {
	cfg := s.cfg
	ns, err := server.NewServer(&server.Options{
		ServerName:        "scanedge-origin",
		DontListen:        true,
		NoSigs:            true,
		JetStream:         true,
		StoreDir:          cfg.Dir,
		JetStreamMaxStore: math.MaxInt64 / 4, // else three quarters of what was free at the start, however much is free later
		SyncAlways:        true,

		DisableJetStreamBanner: true,
	})
	if err != nil {
		return fmt.Errorf("start the log in %s: %w", cfg.Dir, err)
	}
	roomy, fill := context.WithCancel(context.Background())
	ns.SetLoggerV2(serverLog{cfg.Logger.With("part", "log"), fill}, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(30 * time.Second) {
		ns.Shutdown()
		ns.WaitForShutdown()
		return fmt.Errorf("start the log in %s: not up within 30 s; its own lines in the log above say why", cfg.Dir)
	}
	s.run.Store(&run{ns, roomy})
	return nil
}

// Reopen stops the server and starts it again on the same folder: what it takes to write on after ErrFull, once there
// is room. Connections come back by themselves; appends that were on their way have an unknown outcome. After an error the
// server is down, and Reopen may be called again.
func (s *Server) Reopen() error {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.stopped {
		return errors.New("reopen the log: the server was stopped")
	}
	s.halt()
	return s.start()
}

// Stop ends the server for good; what was acknowledged is on disk.
func (s *Server) Stop() {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.stopped = true
	s.halt()
}

func (s *Server) halt() {
	ns := s.run.Load().ns
	ns.Shutdown()
	ns.WaitForShutdown()
}

// inProcess connects to the run that there is now.
type inProcess struct{ *Server }

func (p inProcess) InProcessConn() (net.Conn, error) { return p.run.Load().ns.InProcessConn() }

// serverLog passes the server's own lines on, and watches them for a full disk, of which the server tells nobody else.
type serverLog struct {
	*slog.Logger
	fill func()
}

func (l serverLog) Noticef(format string, v ...any) { l.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.fail(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.fail(fmt.Sprintf(format, v...)) }

func (l serverLog) fail(line string) {
	if saysFull(line) {
		l.fill()
	}
	l.Error(line)
}

func (l serverLog) Warnf(format string, v ...any)  { l.Warn(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(format string, v ...any) {}
func (l serverLog) Tracef(format string, v ...any) {}
