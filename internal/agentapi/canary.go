package agentapi

// CanaryNonceHeader is the header field of a canary that carries the control plane's nonce; it is signed and oversigned.
const CanaryNonceHeader = "Postseal-Canary"
