<%@ include file="common.jspf" %>
<%-- Absolute, as Tomcat makes it from Host; ?form=relative, ?form=path. --%>
<%
    String form = request.getQueryString();
    form = form == null ? "" : form;
    String to = request.getScheme() + "://" + request.getHeader("Host") + "/web/get";
    response.setStatus(302);
    response.setHeader("Location", form.contains("relative") ? "/web/get"
        : form.contains("path") ? "get" : to);
%>
