package snapshot

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scanedge/scanedge"
)

// Server answers GET /v1/issuers/{issuer}/snapshots/{id} with the table's file, also in ranges. It asks for no token: who may is
// for the handler around it to say. It is safe for concurrent use.
type Server struct {
	slots chan struct{} // one in it for each transfer under way

	mu     sync.Mutex
	offers map[string]offered // by issuer

	transfers, bytes atomic.Int64
}

// offered is an issuer's newest snapshot and the one before it, which some may still be fetching.
type offered struct{ newest, before File }

// NewServer returns a server of so many transfers at once; to those above it says that it is busy.
func NewServer(transfers int) *Server {
	return &Server{slots: make(chan struct{}, transfers), offers: map[string]offered{}}
}

// Offer makes f the newest of its issuer. The one before stays served until there is a newer one again, or its file is removed.
func (s *Server) Offer(f File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.offers[f.Issuer]; o.newest.ID != f.ID {
		s.offers[f.Issuer] = offered{f, o.newest}
	}
}

// Offered returns the ids of the newest snapshots, by issuer.
func (s *Server) Offered() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]string, len(s.offers))
	for issuer, o := range s.offers {
		ids[issuer] = o.newest.ID
	}
	return ids
}

// Served returns how many transfers were begun, and how many bytes of files were sent.
func (s *Server) Served() (transfers, bytes int64) { return s.transfers.Load(), s.bytes.Load() }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		rw.Header().Set("Allow", "GET, HEAD")
		scanedge.NewProblem(scanedge.MethodNotAllowed, "").Write(rw)
		return
	}
	file, id := s.open(req.URL.Path)
	if file == nil {
		scanedge.NewProblem(scanedge.NoSnapshot, "it was replaced by a newer one, or was never here; ask the origin for its offer").Write(rw)
		return
	}
	defer file.Close()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		scanedge.NewProblem(scanedge.Busy, "ask another source, or later").Write(rw)
		return
	}
	s.transfers.Add(1)
	h := rw.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("ETag", `"`+id+`"`)
	http.ServeContent(&sender{ResponseWriter: rw, sent: &s.bytes}, req, "", time.Time{}, file)
}

// open opens the file that a path names, nil if there is none.
func (s *Server) open(path string) (*os.File, string) {
	rest, ok := strings.CutPrefix(path, "/v1/issuers/")
	issuer, id, found := strings.Cut(rest, "/snapshots/")
	if !ok || !found {
		return nil, ""
	}
	s.mu.Lock()
	o := s.offers[issuer]
	s.mu.Unlock()
	for _, f := range []File{o.newest, o.before} {
		if f.ID != "" && f.ID == id {
			file, err := os.Open(f.Table)
			if err != nil {
				return nil, "" // removed meanwhile
			}
			return file, id
		}
	}
	return nil, ""
}

// sender sends a file in chunks and hangs up on who does not take one in time: transfers are few, and one that stands still would
// be one less.
type sender struct {
	http.ResponseWriter
	sent *atomic.Int64
}

// ReadFrom is how http.ServeContent writes.
func (s *sender) ReadFrom(r io.Reader) (n int64, err error) {
	buf := make([]byte, chunk)
	conn := http.NewResponseController(s.ResponseWriter)
	defer func() { _ = conn.SetWriteDeadline(time.Time{}) }() // for the connection's next request
	for {
		read, err := r.Read(buf)
		if read > 0 {
			_ = conn.SetWriteDeadline(time.Now().Add(chunkWithin)) // a test's recorder has no deadlines
			written, werr := s.Write(buf[:read])
			n += int64(written)
			s.sent.Add(int64(written))
			if werr != nil {
				return n, werr
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
