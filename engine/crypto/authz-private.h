/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What engine/crypto and its PAM module share. */
#pragma once

#include "engine/base/base.h"

/* False: PAM could not be asked. */
typedef bool VmAuthzPamAllows (const char *service, const char *user, bool *allowed, GError **error);
VmAuthzPamAllows vm_authz_pam_allows;
