package main

import (
	"bytes"
	"strings"
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
	p := plan{cost: 200 * time.Microsecond, connections: 1000, loads: []float64{0.2, 5}, rude: []float64{500}, warm: time.Second / 2, lasts: time.Second, rounds: 2}
	all, err := p.measure(&said)
	t.Logf("\n%s", &said)
	if err != nil {
		t.Fatal(err)
	}
	served, refused := make([]int, len(all)), make([]int, len(all))
	for i, r := range all {
		for _, o := range r.rounds {
			if o.other > 0 || o.served+o.refused+o.missed != o.due {
				t.Errorf("%s: %d were due, %d served, %d refused, %d missed and %d got no such answer", r.name, o.due, o.served, o.refused, o.missed, o.other)
			}
			served[i] += o.served
			refused[i] += o.refused
		}
	}
	if served[0] == 0 || served[1] == 0 || refused[1] == 0 {
		t.Errorf("served %d, refused %d", served, refused)
	}
}

// The peak is the best of the open loads, and medians are those of the rounds.
func TestWrite(t *testing.T) {
	round := func(served, missed int) *outcomes {
		o := newOutcomes()
		o.due, o.missed, o.d, o.busy = served+missed, missed, time.Second, time.Second
		for range served {
			o.count(200, 2*time.Millisecond)
		}
		return o
	}
	all := []*result{
		{name: "half", share: 0.5, rounds: []*outcomes{round(100, 0), round(100, 0)}},
		{name: "peak", share: 1, rounds: []*outcomes{round(10, 0), round(200, 0), round(900, 0)}},
		{name: "much", share: 5, rounds: []*outcomes{round(100, 100), round(200, 200)}},
		{name: "rude", rounds: []*outcomes{round(1000, 0)}},
	}
	var said strings.Builder
	write(&said, all)
	lines := strings.Split(said.String(), "\n")
	for i, want := range []string{"50.0%", "100.0%", "75.0%", "500.0%"} {
		if f := strings.Fields(lines[i+1]); f[8] != want || f[len(f)-1] != "x" {
			t.Errorf("%s: want %s of the peak\n%s", all[i].name, want, &said)
		}
	}
	if f := strings.Fields(lines[3]); f[1] != "300" || f[2] != "50.0%" || f[6] != "150" || f[7] != "(100-200)" {
		t.Errorf("%q", f)
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
