package scan

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/edge/passcode"
)

// Wiring is how a process of `scanedge edge` puts an edge.Server to work, so that what is measured is what is run.
type Wiring struct {
	Ready func(s *edge.Server, issuers []string, scannerKey string) // makes it hold the issuers and admit the key
	Serve func(s *edge.Server, l net.Listener) error
}

// order is a line to a server's process; the first says what it is to be.
type order struct {
	Subjects uint64 `json:"subjects,omitempty"` // an edge that holds so many
	Constant string `json:"constant,omitempty"` // bare fasthttp that gives this answer to all
	Times    bool   `json:"times,omitempty"`    // say how long scans have taken inside
	Inside   int    `json:"inside,omitempty"`   // measure the handler without a network, in so many rounds
}

// reply is a line from a server's process.
type reply struct {
	Done   float64     `json:"done,omitempty"` // of its start
	Addr   string      `json:"addr,omitempty"` // where it listens, when it has started
	Answer string      `json:"answer,omitempty"`
	Times  *edge.Times `json:"times,omitempty"`
	Inside *Handler    `json:"inside,omitempty"`
}

// Serve is a server in a process of its own, which does what in says and ends with it.
func Serve(in io.Reader, out io.Writer, w Wiring) error {
	in = polled(in)
	orders, replies := json.NewDecoder(in), json.NewEncoder(out)
	var first order
	if err := orders.Decode(&first); err != nil {
		return fmt.Errorf("reading what to serve: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	if first.Constant != "" {
		go constant(l, first.Constant)
		_ = replies.Encode(reply{Addr: l.Addr().String()})
		_, _ = io.Copy(io.Discard, in)
		return nil
	}
	e := fill(first.Subjects, w, func(done float64) { _ = replies.Encode(reply{Done: done}) })
	go func() { _ = w.Serve(e.server, l) }()
	go e.beat()
	_ = replies.Encode(reply{Addr: l.Addr().String(), Answer: e.answer()})
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return nil // nobody waits for it any more
		}
		r := reply{}
		if o.Times {
			times := e.server.ScanTimes()
			r.Times = &times
		}
		if o.Inside > 0 {
			r.Inside = e.inside(o.Inside)
		}
		if err := replies.Encode(r); err != nil {
			return err
		}
	}
}

// constant is the floor: fasthttp as it comes, and an answer that was made before. Only its headers are an edge's.
func constant(l net.Listener, answer string) {
	body, cacheControl, noStore, kind := []byte(answer), []byte("Cache-Control"), []byte("no-store"), []byte("application/json")
	server := fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.SetCanonical(cacheControl, noStore)
		ctx.Response.Header.SetContentTypeBytes(kind)
		ctx.Response.SetBody(body)
	}}
	_ = server.Serve(l)
}

// filled is an edge with its table.
type filled struct {
	server *edge.Server
	vouch  edge.Vouch
	count  uint64
}

// memoSize is the default of scanedge edge.
const memoSize = 64 << 20

func fill(subjects uint64, w Wiring, progress func(done float64)) *filled {
	e := &filled{edge.New(metrics.NewSet()), edge.Vouch{
		Seed: cache.NewSeed(), Table: new(cache.Table), Offset: 123_456, MaxStale: 24 * time.Hour,
		Codes: &passcode.Keyring{Keys: []passcode.Key{codeKey}, Signing: signing.Public().(ed25519.PublicKey), Window: 1},
	}, subjects}
	const at = 4096
	deltas, id := make([]cache.Delta, 0, at), make([]byte, 0, cache.MaxSubject)
	for n := range subjects {
		id = appendSubject(id[:0], n)
		deltas = append(deltas, cache.Delta{Key: e.vouch.Seed.Key(id), Record: recordOf(n)})
		if len(deltas) == at || n == subjects-1 {
			e.vouch.Table.PutMany(deltas)
			deltas = deltas[:0]
		}
		if n%(1<<22) == 0 {
			progress(float64(n) / float64(subjects))
		}
	}
	e.server.Remember(memoSize)
	w.Ready(e.server, []string{issuer}, token)
	e.publish()
	return e
}

// publish says what a replica says after a beat.
func (e *filled) publish() {
	v := e.vouch
	v.Beat = time.Now()
	e.server.Publish(issuer, v)
}

func (e *filled) beat() {
	for range time.Tick(time.Second) {
		e.publish()
	}
}

// answer is a verdict's text, as long as most are while it is measured.
func (e *filled) answer() string {
	return fmt.Sprintf(`{"issuer":"%s","status":"green","offset":%d,"age_ms":500}`+"\n", issuer, e.vouch.Offset)
}

// server is a process, as who asks it sees it.
type server struct {
	cmd     *exec.Cmd
	orders  *json.Encoder
	replies *json.Decoder
	reply   // of its start
}

// serve starts a server's process and waits until it listens.
func (m *run) serve(ctx context.Context, what order, progress func(done float64)) (*server, error) {
	cmd := m.Child()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startPinned(cmd); err != nil {
		return nil, fmt.Errorf("starting a server: %w", err)
	}
	m.ends = append(m.ends, func() { _ = in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	s := &server{cmd: cmd, orders: json.NewEncoder(in), replies: json.NewDecoder(out)}
	if err := s.orders.Encode(what); err != nil {
		return nil, fmt.Errorf("telling a server what to serve: %w", err)
	}
	for s.Addr == "" {
		s.reply = reply{}
		if err := s.replies.Decode(&s.reply); err != nil {
			return nil, errors.Join(errors.New("a server ended before it served"), err)
		}
		progress(s.Done)
	}
	return s, nil
}

// do has a server do what is ordered.
func (s *server) do(o order) (r reply, err error) {
	if err = s.orders.Encode(o); err == nil {
		err = s.replies.Decode(&r)
	}
	if err != nil {
		return r, fmt.Errorf("asking the edge's process: %w", err)
	}
	return r, nil
}

// times is how long scans have taken inside the edge so far, nil for a row of which that is not asked.
func (m *run) times(r row) (*edge.Times, error) {
	if !r.timed {
		return nil, nil
	}
	said, err := m.edge.do(order{Times: true})
	return said.Times, err
}

func (m *run) inside() error {
	m.progress("the handler without a network", 0.95)
	said, err := m.edge.do(order{Inside: 2*m.Rounds + 1})
	m.r.Handler = said.Inside
	return err
}
