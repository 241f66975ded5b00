/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of authz-pam: the account rules of a PAM service, pam_acct_mgmt(3). */
#include "engine/crypto/authz-private.h"

#include <security/pam_appl.h>

/* Account rules ask the user nothing. */
static int
no_conversation (int n, const struct pam_message **messages, struct pam_response **responses, void *opaque)
{
  return PAM_CONV_ERR;
}

bool
vm_authz_pam_allows (const char *service, const char *user, bool *allowed, GError **error)
{
  const struct pam_conv conversation = { no_conversation, NULL };
  pam_handle_t *pam = NULL;
  int err = pam_start (service, user, &conversation, &pam);

  if (err != PAM_SUCCESS)
    return vm_fail (error, "Unable to start PAM transaction: %s", pam_strerror (pam, err));
  err = pam_acct_mgmt (pam, PAM_SILENT);
  *allowed = err == PAM_SUCCESS;
  pam_end (pam, err);
  return true;
}
