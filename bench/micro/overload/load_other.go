//go:build !linux

package main

import (
	"errors"
	"time"
)

var errSystem = errors.New("overload is measured on Linux only: elsewhere an edge refuses nothing, and nothing can be pinned or polled")

type load struct{}

func pin(int) {}

func connect(string, int) (*load, error) { return nil, errSystem }

func (*load) open(float64, time.Duration) (*outcomes, error) { return nil, errSystem }

func (*load) closed(int, time.Duration) (*outcomes, error) { return nil, errSystem }

func (*load) rest() error { return errSystem }

func (*load) close() {}
