package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scanedge/scanedge"
)

// The test binary plays every process of a fleet: what FLEET_FAKE says. A child misbehaves as told by FLEET_FAKE_<WHAT>,
// which names the child: REFUSE exits before it listens, UNREADY never is ready, SLOW holds nothing the first times it is
// asked, STUBBORN ignores SIGTERM, DIE_PUSHING dies in the midst of its first push. FORBID names an issuer:
// a push to it is refused, once one to another was taken.
func TestMain(m *testing.M) {
	switch os.Getenv("FLEET_FAKE") {
	case "child":
		fakeChild(os.Args[1], os.Args[2:])
	case "parent":
		fakeParent(os.Args[1])
	default:
		goleak.VerifyTestMain(m)
	}
}

// fakeParent runs a fleet until it is killed.
func fakeParent(dir string) {
	os.Setenv("FLEET_FAKE", "child")
	exe, err := os.Executable()
	check(err)
	f, err := Start(context.Background(), Config{Exe: exe, Dir: dir, Edges: 2, Subjects: 10, Log: os.Stderr})
	check(err)
	fmt.Println("up")
	io.Copy(io.Discard, os.Stdin)
	f.Stop()
}

type fake struct {
	role, name, dir, origin string
	asked, taken            atomic.Int64 // questions for metrics, pushes
	mu                      sync.Mutex
	subjects                map[string]map[string]string // by issuer and subject: the last delta as JSON
	offsets                 map[string]int               // pushes taken
}

// fakeChild is an origin or an edge that does as little as the fleet can tell.
func fakeChild(role string, args []string) {
	log.SetFlags(0)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	flags := flag.NewFlagSet(role, flag.ExitOnError)
	f := &fake{role: role, subjects: map[string]map[string]string{}, offsets: map[string]int{}}
	flags.StringVar(&f.dir, "dir", "", "")
	flags.StringVar(&f.origin, "origin", "", "")
	listen := flags.String("listen", "", "")
	admin := flags.String("admin-listen", "", "")
	secure := flags.String("tls-listen", "", "")
	peer := flags.String("peer-listen", "127.0.0.1:0", "")
	issuers := flags.String("issuers", "", "")
	flags.String("drain", "", "")
	check(flags.Parse(args))
	f.name = filepath.Base(f.dir)
	log.Printf("fake %s starts, issuers %q", f.name, *issuers)
	if misbehaves("REFUSE", f.name) {
		log.Fatalf("%s refuses to start", f.name)
	}
	check(os.MkdirAll(f.dir, 0o700))
	if role == "edge" && os.Getenv("SCANEDGE_JOIN") != "join-"+f.name {
		log.Fatalf("%s was not enrolled", f.name)
	}
	f.load()
	says := map[string]any{"pid": os.Getpid(), "name": f.name}
	main := f.serve(*listen, http.HandlerFunc(f.push))
	says["api"], says["scan"] = main, main
	says["admin"] = f.serve(*admin, http.HandlerFunc(f.admin))
	tls := f.serve(*secure, http.HandlerFunc(f.push))
	says["tls"], says["scan_tls"] = tls, tls
	says["peer"] = f.serve(*peer, http.NotFoundHandler())
	f.write("tokens.json", map[string]string{"admin_token": "A", "push_token": "P", "scanner_key": "K"})
	f.write("listening.json", says)
	f.awaitTerm(term)
}

func (f *fake) awaitTerm(term <-chan os.Signal) {
	for range term {
		if misbehaves("STUBBORN", f.name) {
			continue
		}
		if f.role == "edge" {
			time.Sleep(100 * time.Millisecond) // so that an origin stopped at the same time ends first
		}
		f.append("../ends", f.name)
		check(os.Remove(filepath.Join(f.dir, "listening.json")))
		os.Exit(0)
	}
}

func (f *fake) serve(addr string, h http.Handler) string {
	l, err := net.Listen("tcp", addr)
	check(err)
	go http.Serve(l, h)
	return "http://" + l.Addr().String()
}

func (f *fake) admin(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/readyz" && misbehaves("UNREADY", f.name):
		http.Error(w, "still replaying", http.StatusServiceUnavailable)
	case r.URL.Path == "/readyz":
	case r.URL.Path == "/metrics" && misbehaves("SLOW", f.name) && f.asked.Add(1) <= 3:
	case r.URL.Path == "/metrics" && f.role == "edge":
		resp, err := http.Get(f.origin + "/metrics")
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer resp.Body.Close()
		io.Copy(w, resp.Body)
	case r.URL.Path == "/metrics":
		f.metrics(w)
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) metrics(w io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for issuer, subjects := range f.subjects {
		fmt.Fprintf(w, "scanedge_subjects{issuer=%q} %d\n", issuer, len(subjects))
		fmt.Fprintf(w, "scanedge_offset{issuer=%q} %d\n", issuer, f.offsets[issuer])
	}
}

// push takes NDJSON, and keeps it in DIR/pushed: issuer and delta a line.
func (f *fake) push(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/metrics" {
		f.metrics(w)
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/v1/edges/"); ok {
		f.enrol(w, r, name)
		return
	}
	issuer := strings.Split(r.URL.Path, "/")[3]
	forbidden := misbehaves("FORBID", issuer)
	for forbidden && f.taken.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if r.Header.Get("Authorization") != "Bearer P" || forbidden {
		p := scanedge.NewProblem(scanedge.NoToken, "not you")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		w.Write(p.JSON())
		return
	}
	body, err := io.ReadAll(r.Body)
	check(err)
	dying := filepath.Join(f.dir, "dying")
	if _, err := os.Stat(dying); err != nil && misbehaves("DIE_PUSHING", f.name) {
		check(os.WriteFile(dying, nil, 0o600))
		log.Fatal("out of memory")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.append("pushed", strings.ReplaceAll(issuer+" "+strings.TrimSpace(string(body)), "\n", "\n"+issuer+" "))
	f.append("pushed", issuer+" end")
	count := strings.Count(string(body), "\n")
	for line := range strings.Lines(string(body)) {
		f.apply(issuer, strings.TrimSpace(line))
	}
	f.offsets[issuer]++
	f.taken.Add(1)
	json.NewEncoder(w).Encode(scanedge.Receipt{Offset: uint64(f.offsets[issuer]), Count: count})
}

// enrol knows nobody, and enrols everybody who may read everything.
func (f *fake) enrol(w http.ResponseWriter, r *http.Request, name string) {
	body, err := io.ReadAll(r.Body)
	check(err)
	switch {
	case r.Header.Get("Authorization") != "Bearer A":
		scanedge.NewProblem(scanedge.NoToken, "not you").Write(w)
	case r.Method == http.MethodGet:
		scanedge.NewProblem(scanedge.UnknownEdge, name).Write(w)
	case string(body) == `{"issuers":["*"],"replace":true}`:
		check(json.NewEncoder(w).Encode(scanedge.Enrolment{Name: name, Token: "join-" + name}))
	default:
		scanedge.NewProblem(scanedge.BadRequest, string(body)).Write(w)
	}
}

func (f *fake) apply(issuer, line string) {
	var d scanedge.Delta
	check(json.Unmarshal([]byte(line), &d))
	if f.subjects[issuer] == nil {
		f.subjects[issuer] = map[string]string{}
	}
	f.subjects[issuer][d.Subject] = line
	if d.Remove {
		delete(f.subjects[issuer], d.Subject)
	}
}

// load reads back what was pushed in earlier lives.
func (f *fake) load() {
	file, err := os.Open(filepath.Join(f.dir, "pushed"))
	if os.IsNotExist(err) {
		return
	}
	check(err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		issuer, line, _ := strings.Cut(lines.Text(), " ")
		if line == "end" {
			f.offsets[issuer]++
		} else {
			f.apply(issuer, line)
		}
	}
}

func (f *fake) append(name, line string) {
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	check(err)
	_, err = file.WriteString(line + "\n")
	check(err)
	check(file.Close())
}

func (f *fake) write(name string, v any) {
	b, err := json.Marshal(v)
	check(err)
	check(replaceFile(filepath.Join(f.dir, name), b))
}

func misbehaves(how, name string) bool { return os.Getenv("FLEET_FAKE_"+how) == name }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
