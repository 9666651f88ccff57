// Command scanedge is the whole system in one binary: origin, edges, a fleet on one machine, the client and the launch day.
package main

import "os"

func main() { os.Exit(run(os.Args[1:])) }
