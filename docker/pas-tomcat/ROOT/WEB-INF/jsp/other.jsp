<%@ include file="common.jspf" %>
<%
    response.setStatus(405);
    response.setContentType("text/html;charset=utf-8");
    String what = request.getRequestURI().replaceAll("[<>&\"]", "");
    out.print("405: " + request.getMethod() + " of \"" + what.replaceFirst("^/web", "")
        + "\" not allowed\n");
%>
