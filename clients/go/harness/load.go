package harness

import (
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Load is work that is under way when the server is killed.
type Load struct {
	Workers int
	// KillAt is how many steps were taken when the server is killed; more are on their way then.
	KillAt int64
	// Step is one piece of a worker's work, done over and over, with a client that sends each command at most once. It
	// says whether the worker goes on: not after an error, since what is known then has to be kept for the check.
	Step func(client *redis.Client, worker int) bool
}

// KillUnder kills the server in the middle of a load, and starts it again when every worker has ended.
func (s *Server) KillUnder(load Load) {
	s.t.Helper()
	// After some failed connects the library's pool fails at once for up to a second, so each load has a pool of its own.
	client := s.Client(Once, Pool(load.Workers))
	var steps, ended atomic.Int64
	var group sync.WaitGroup
	for worker := range load.Workers {
		group.Go(func() {
			defer ended.Add(1)
			for load.Step(client, worker) {
				steps.Add(1)
			}
		})
	}
	Eventually(s.t, "the load is under way", func() bool {
		return steps.Load() >= load.KillAt || ended.Load() == int64(load.Workers)
	})
	s.Kill()
	group.Wait()
	s.Restart()
}
