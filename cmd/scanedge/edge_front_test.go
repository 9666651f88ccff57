package main

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

func TestFrontFlags(t *testing.T) {
	for _, f := range []frontFlags{
		{certFile: "c"}, {keyFile: "k"}, {connections: -1}, {perAddress: -1}, {origins: []string{""}}, {origins: []string{"gate.example"}},
		{origins: []string{"https://gate.example/"}}, {origins: []string{"https://a.example", "*"}}, {origins: []string{"ftp://a"}}, {origins: []string{"null"}},
		{origins: []string{"https://"}}, {origins: []string{"https://a.example?x"}},
	} {
		if f.check() == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
	for _, origins := range [][]string{nil, {"*"}, {"https://a.example", "http://localhost:8080", "https://[::1]:1"}} {
		if err := (&frontFlags{origins: origins}).check(); err != nil {
			t.Errorf("%v: %v", origins, err)
		}
	}
}

// As many connections are admitted as are wanted and files allow, and who gets fewer than he wants is told how to get them.
func TestConnectionsByFiles(t *testing.T) {
	for _, c := range []struct {
		wanted, per      int
		files            uint64
		want, perAddress int
		warns            bool
	}{
		{0, 0, 1 << 20, 16_384, 4096, false},
		{0, 0, 20_000, 16_384, 4096, false},
		{0, 0, 16_384, 16_128, 4032, true},
		{0, 0, 1024, 768, 192, true},
		{0, 0, 256, 128, 32, true},
		{0, 0, 1, 1, 1, true},
		{0, 0, 1 << 63, 16_384, 4096, false},
		{100_000, 10, 1 << 20, 100_000, 10, false},
		{100_000, 10, 65_536, 65_280, 10, true},
		{3, 0, 1024, 3, 1, false},
	} {
		var log bytes.Buffer
		f := frontFlags{connections: c.wanted, perAddress: c.per}
		b := f.bounds(c.files, slog.New(slog.NewTextHandler(&log, nil)))
		if b.Connections != c.want || b.PerAddress != c.perAddress || strings.Contains(log.String(), "LimitNOFILE=") != c.warns {
			t.Errorf("%+v: %d, %d an address, says %q", c, b.Connections, b.PerAddress, log.String())
		}
		if !b.Exempt(netip.MustParseAddr("127.3.2.1")) || !b.Exempt(netip.IPv6Loopback()) || b.Exempt(netip.MustParseAddr("192.0.2.1")) {
			t.Error("this machine's own connections, and no others, have no bound of their address")
		}
	}
}
