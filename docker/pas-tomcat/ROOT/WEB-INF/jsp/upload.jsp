<%@ include file="common.jspf" %>
<%-- Swallows a body of any size. --%>
<%
    java.util.zip.CRC32 crc = new java.util.zip.CRC32();
    byte[] piece = new byte[65536];
    long length = 0;
    for (int n; (n = request.getInputStream().read(piece)) > 0; length += n)
        crc.update(piece, 0, n);
    response.setContentType("application/json");
    out.print("{\"length\": " + length + ", \"crc32\": \""
        + String.format("%08x", crc.getValue()) + "\"" + instance(calls));
%>
