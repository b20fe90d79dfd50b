package cloudtest

import (
	"net/http"
	"net/url"
)

// launch is what was launched under a client token.
type launch struct {
	form   string
	answer []byte
}

// runInstances knows client tokens and addresses in use, which moto does not.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html
func (a *AWS) runInstances(f url.Values) *refusal {
	a.mu.Lock()
	before, had := a.launched[f.Get("ClientToken")]
	a.mu.Unlock()
	switch {
	case len(f.Get("ClientToken")) > 64:
		return invalid("The client token exceeds 64 characters")
	case had && before.form != f.Encode():
		return &refusal{http.StatusBadRequest, "IdempotentParameterMismatch", "The client token you have provided is associated with a resource that is already deleted, or with other parameters."}
	case had:
		return nil
	}
	if ip := f.Get("PrivateIpAddress"); ip != "" && a.at(ip) {
		return &refusal{http.StatusBadRequest, "InvalidIPAddress.InUse", "Address " + ip + " is in use."}
	}
	return nil
}
