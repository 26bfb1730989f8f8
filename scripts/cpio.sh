# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# cpio.sh - writes "newc" archives, as the kernel unpacks them, to standard output. Sourced. Owner is
# root, time is zero. Archives may be concatenated: the kernel unpacks one after the other.

cpio_begin()
{
	CPIO_INODE=0
}

# cpio_entry NAME MODE(octal) SIZE MAJOR MINOR: the header, 110 bytes, and the name with its NUL,
# padded together to a multiple of four.
cpio_entry()
{
	local length=$((${#1} + 1))

	CPIO_INODE=$((CPIO_INODE + 1))
	printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X' $CPIO_INODE $((8#$2)) \
		0 0 1 0 "$3" 0 0 "$4" "$5" $length 0
	printf '%s\0' "$1"
	cpio_pad $((110 + length))
}

# cpio_pad BYTES: zeros up to the next multiple of four after BYTES bytes.
cpio_pad()
{
	head -c $(((4 - $1 % 4) % 4)) /dev/zero
}

# cpio_folder NAME PERMISSIONS
cpio_folder()
{
	cpio_entry "$1" "40$2" 0 0 0
}

# cpio_device NAME PERMISSIONS MAJOR MINOR: a character device
cpio_device()
{
	cpio_entry "$1" "20$2" 0 "$3" "$4"
}

# cpio_file NAME PERMISSIONS FILE
cpio_file()
{
	local size

	size=$(stat -L -c %s "$3")
	cpio_entry "$1" "100$2" "$size" 0 0
	cat "$3"
	cpio_pad "$size"
}

cpio_end()
{
	cpio_entry 'TRAILER!!!' 0 0 0 0
}
