/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bitmaps kept in images, as convert copies them. */
#pragma once

#include "block/tools/tool.h"

/* Whether the bitmaps of NODE can be copied; what stands against it is told. */
bool vm_img_check_bitmaps (VmTool *tool, VmNode *node, bool skip_broken);
bool vm_img_copy_bitmaps (VmTool *tool, VmNode *from, VmNode *to);
