# xrdp-sesman in mount and PID namespaces of its own, with one account more than the machine has: $1 is its directory, $2 its
# name, $3 its uid, $4 its password. In its home is the window manager, which is the stamping program.
set -e
mount --make-rprivate /
cp /etc/passwd /etc/shadow "$1"
echo "$2:x:$3:65534::$1/home:/bin/sh" >> "$1/passwd"
echo "$2:$(openssl passwd -6 "$4"):19000:0:99999:7:::" >> "$1/shadow"
sed -e 's/^UserWindowManager=.*/UserWindowManager=stamp/' -e 's/^MaxSessions=.*/MaxSessions=500/' -e 's/^Policy=.*/Policy=UBD/' /etc/xrdp/sesman.ini > "$1/sesman.ini"
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /run/xrdp/sockdir /tmp/.X11-unix
chmod 3777 /run/xrdp/sockdir
chmod 1777 /tmp/.X11-unix
exec xrdp-sesman -n -c "$1/sesman.ini"
