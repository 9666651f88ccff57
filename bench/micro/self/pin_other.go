//go:build !linux

package self

import (
	"errors"
	"os/exec"
	"time"
)

const (
	serverCore = 0
	loadCore   = 1
)

func startPinned(*exec.Cmd, int) error {
	return errors.New("generators are measured on Linux only: processors are pinned as it does it")
}

func processorTime() time.Duration { return 0 }
