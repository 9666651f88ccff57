// Command constant is the floor that an edge is measured against: the same fasthttp server, answering every request with one
// verdict's bytes. It prints its URL and serves until it is killed.
package main

import (
	"fmt"
	"log"
	"net"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/edge"
)

var answer = []byte(`{"issuer":"demo-a","status":"green","offset":123,"age_ms":456}` + "\n")

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", l.Addr())
	// The edge's own server settings; only the handler differs.
	server := edge.New(metrics.NewSet()).HTTP()
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set("Cache-Control", "no-store")
		ctx.Response.Header.SetContentType("application/json")
		ctx.Response.SetBody(answer)
	}
	log.Fatal(server.Serve(l))
}
