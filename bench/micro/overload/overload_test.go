package main

import (
	"bytes"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	beTheEdge()
	m.Run()
}

// At every load the edge goes on to serve, refuses when there is more than it can do, and answers all that is asked. How much and how fast is
// for the program to measure, on a machine that does nothing else.
func TestOverloaded(t *testing.T) {
	var said bytes.Buffer
	p := plan{cost: 200 * time.Microsecond, connections: 500, loads: []float64{0.2, 5}, rude: []float64{500}, warm: time.Second, lasts: 2 * time.Second}
	all, err := p.measure(&said)
	t.Logf("\n%s", &said)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range all {
		if o.served == 0 || o.other > 0 {
			t.Errorf("load %d: %d were served and %d got no answer", i, o.served, o.other)
		}
		if i > 0 && o.refused == 0 {
			t.Errorf("load %d: none was refused of more than can be served", i)
		}
	}
}

func TestWhole(t *testing.T) {
	for answer, want := range map[string]bool{
		"": false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n": false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx": false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nxy": true, "HTTP/1.1 204 No Content\r\n\r\n": true,
	} {
		if got := whole([]byte(answer)); got != want {
			t.Errorf("%q: %v", answer, got)
		}
	}
}
