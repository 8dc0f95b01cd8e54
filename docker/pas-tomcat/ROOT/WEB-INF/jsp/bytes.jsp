<%@ include file="common.jspf" %>
<%
    long left = number(request, "n", 1024);
    response.setContentType("application/octet-stream");
    if (number(request, "chunked", 0) == 0)
        response.setContentLengthLong(left);
    byte[] piece = new byte[65536];
    Arrays.fill(piece, (byte) 'x');
    out.clear();
    out = pageContext.pushBody();
    java.io.OutputStream to = response.getOutputStream();
    for (; left > 0; left -= piece.length)
        to.write(piece, 0, (int) Math.min(left, piece.length));
    to.close();
%>
