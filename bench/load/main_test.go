package load

import (
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers with handler on a free port until the test ends.
func serve(t *testing.T, name string, handler fasthttp.RequestHandler) Edge {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{
		Handler:               handler,
		MaxIdleWorkerDuration: 50 * time.Millisecond, // its sweeper of workers sleeps as long, also after Shutdown
		NoDefaultDate:         true,                  // or a goroutine would keep the date for ever
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return Edge{Name: name, URL: "http://" + ln.Addr().String()}
}
