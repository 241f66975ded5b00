/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of the program that are loaded when an option asks for them, because of the libraries they need. */
#pragma once

#include "engine/base/base.h"

/* SYMBOL of the module NAME ("vitrine-authz-pam"), which comes from FOLDER of the source tree. Modules stay. */
void *vm_module_symbol (const char *folder, const char *name, const char *symbol, GError **error);
