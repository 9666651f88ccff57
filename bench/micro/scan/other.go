//go:build !linux

package scan

import (
	"errors"
	"io"
	"os/exec"
	"time"
)

const (
	serverCore = 0
	clientCore = 1
)

var errSystem = errors.New("scans are measured on Linux only: processors are pinned and connections polled as it does it")

func enough() error { return errSystem }

func pinned(int) (func(), error) { return nil, errSystem }

func startPinned(*exec.Cmd) error { return errSystem }

func polled(in io.Reader) io.Reader { return in }

type conn struct{}

func dial(string) (*conn, error) { return nil, errSystem }

func (*conn) exchange(*load) error { return errSystem }

func closeConn(*conn) {}

func (*load) run(int, time.Duration) (float64, error) { return 0, errSystem }
