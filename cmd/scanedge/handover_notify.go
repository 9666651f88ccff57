package main

import (
	"net"
	"os"
)

// notifySupervisor tells systemd, if it asked to be told (sd_notify(3)), how this process is. A unit must say NotifyAccess=all, for the main
// process of an edge changes.
func notifySupervisor(state string) {
	addr := os.Getenv("NOTIFY_SOCKET")
	if addr == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		return // who asked is gone
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}
