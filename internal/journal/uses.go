package journal

import (
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/work"
)

// Uses are the services that the items watch, and the sets of their last successes.
func Uses(judged []work.Judgement) (all []presence.Use) {
	for _, j := range judged {
		for _, w := range j.Item.Watch {
			if w.Service.Service == "" {
				continue
			}
			u := presence.Use{Item: j.Item.ID(), Service: w.Service.Service, Role: w.Service.Role, Deployment: w.Service.Deployment}
			if j.Memory.Done != nil {
				u.Set = j.Memory.Done.Ids[w.Service.Key()]
			}
			all = append(all, u)
		}
	}
	return all
}
